// The script of every page: choosing all rows of a table, going on with what takes longer, and copying a text. All of it
// can be done by hand without it.
"use strict";

for (const table of document.querySelectorAll("table.objects")) {
    const head = table.querySelector("th.choose");
    const boxes = () => table.querySelectorAll("td.choose input");
    if (!head || !boxes().length) continue;
    const all = document.createElement("input");
    all.type = "checkbox";
    all.setAttribute("aria-label", "Choose all of this page");
    head.replaceChildren(all);
    const form = table.closest("form");
    const act = form.querySelector("button.danger");
    const count = () => {
        const chosen = [...boxes()].filter((box) => box.checked).length;
        all.checked = chosen > 0 && chosen === boxes().length;
        all.indeterminate = chosen > 0 && !all.checked;
        act.disabled = chosen === 0;
        act.textContent = chosen ? `Delete ${chosen} selected` : "Delete selected";
    };
    all.addEventListener("change", () => {
        for (const box of boxes()) box.checked = all.checked;
        count();
    });
    table.addEventListener("change", count);
    count();
}

// What takes longer than a request goes on with the next one.
for (const form of document.querySelectorAll("form[data-goes-on]")) {
    const act = form.querySelector("button");
    act.disabled = true;
    act.textContent = "Going on...";
    form.submit();
}

for (const text of document.querySelectorAll("[data-copy]")) {
    const isField = text instanceof HTMLTextAreaElement;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    if (!isField) button.setAttribute("title", `Copy ${text.closest("dd")?.previousElementSibling?.textContent || ""}`);
    button.addEventListener("click", async () => {
        if (isField) text.select();
        else getSelection().selectAllChildren(text);
        // Without TLS a page has no `navigator.clipboard`, but `execCommand` still copies.
        const copied = navigator.clipboard
            ? await navigator.clipboard.writeText(isField ? text.value : text.textContent).then(() => true, () => false)
            : document.execCommand("copy");
        button.textContent = copied ? "Copied" : "Press Ctrl+C";
    });
    if (isField) {
        button.className = "primary";
        text.closest(".narrow").querySelector(".actions").prepend(button);
    } else text.after(" ", button);
}
