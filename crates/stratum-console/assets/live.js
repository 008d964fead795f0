// Brings the sections of a page anew, so that it shows how things are now. Without this script the browser loads the whole
// page again now and then.
//
// A section in which somebody is at work (the focus or a selection is in it) stays until they are done, and one that
// hasn't changed isn't touched, so that nothing is read out again.
"use strict";

(() => {
    const EVERY = 5000; // milliseconds
    const live = document.getElementById("live");
    if (!live) return;
    const { address, token } = live.dataset;

    // What moves by itself can be held.
    let held = false;
    const bar = document.createElement("p");
    bar.className = "muted live-bar";
    const said = document.createElement("span");
    const hold = document.createElement("button");
    hold.type = "button";
    hold.addEventListener("click", () => { held = !held; tell(); if (!held) look(); });
    bar.append(said, hold);
    document.querySelector(".head").append(bar);
    function tell(problem) {
        said.textContent = problem || (held ? "Held as it was." : "Live.");
        hold.textContent = held ? "Go on" : "Hold";
    }
    tell();

    const isUsed = (section) => {
        const selection = getSelection();
        return section.contains(document.activeElement) || !selection.isCollapsed && selection.containsNode(section, true);
    };

    function show(text) {
        const made = new DOMParser().parseFromString(text, "text/html").body;
        for (const section of [...made.children]) {
            const old = document.getElementById(section.id);
            if (!old || old.isEqualNode(section) || isUsed(old)) continue;
            const places = [...old.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
            old.replaceWith(section);
            section.querySelectorAll(".scroll").forEach((box, at) => { box.scrollLeft = places[at] || 0; });
        }
    }

    let asking = false;
    async function look() {
        if (held || asking || document.hidden) return;
        asking = true;
        try {
            const response = await fetch(address, {
                method: "POST", body: new URLSearchParams(), headers: { "x-form-token": token }, redirect: "manual",
            });
            // The session has ended: the page leads to signing in.
            if (response.status === 401 || response.type === "opaqueredirect") return location.reload();
            if (!response.ok) throw new Error(response.status);
            show(await response.text());
            tell();
        } catch {
            tell("The server can't be reached; it is asked again.");
        } finally {
            asking = false;
        }
    }

    setInterval(look, EVERY);
    document.addEventListener("visibilitychange", look);
})();
