// Uploads with progress: files and folders are dropped or chosen, and sent in parts to presigned addresses. An upload
// that was cut off is gone on with. Without this script the page's form uploads files, too, but shows no progress.
//
// The id of an upload stands in the browser (localStorage) until the upload is complete or aborted. So when the same
// file is chosen again after a reload, only the parts that are missing are sent.
"use strict";

(() => {
    const PART = 8 * 1024 * 1024; // at least, and more where a file would have over 10,000 parts
    const FILES_AT_ONCE = 3;
    const PARTS_AT_ONCE = 3;
    const ATTEMPTS = 5;
    const SHOWN = 200;

    const place = document.getElementById("upload");
    if (!place || !window.FormData) return;
    const { bucket, prefix, base, token } = place.dataset;
    const chooser = place.querySelector("#files");

    // The form's button is hidden: files are sent as soon as they are chosen.
    const form = place.querySelector(".upload-form");
    place.classList.add("live");
    form.querySelector("button").hidden = true;
    const label = form.querySelector("label");
    label.className = "button primary";
    const folders = document.createElement("input");
    Object.assign(folders, { type: "file", id: "folders", webkitdirectory: true });
    const folderLabel = document.createElement("label");
    Object.assign(folderLabel, { htmlFor: "folders", className: "button", textContent: "Upload a folder" });
    form.append(folders, folderLabel);
    for (const input of [chooser, folders]) {
        input.addEventListener("change", () => {
            add([...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
            input.value = "";
        });
    }
    const hint = document.createElement("p");
    hint.className = "drop";
    hint.textContent = "or drop files and folders anywhere on this page";
    form.after(hint);
    const transfers = document.createElement("div");
    transfers.className = "transfers";
    transfers.hidden = true;
    const summary = document.createElement("div");
    summary.className = "summary";
    const words = document.createElement("p");
    words.setAttribute("role", "status");
    const stop = button("Cancel all", () => jobs.forEach((job) => job.cancel()));
    const again = button("Try all again", () => jobs.filter((job) => job.mayRetry()).forEach((job) => job.retry()));
    summary.append(words, again, stop);
    const list = document.createElement("ul");
    transfers.append(summary, list);
    place.append(transfers);

    function button(text, act) {
        const made = document.createElement("button");
        made.type = "button";
        made.textContent = text;
        made.addEventListener("click", act);
        return made;
    }

    class Cancelled extends Error {}
    // The server said that it won't do it, however often it is asked.
    class Refused extends Error {
        constructor(message, status) { super(message); this.status = status; }
    }
    const isFinal = (status) => status >= 400 && status < 500 && status !== 408 && status !== 429;

    // Sends one of the console's own requests.
    async function ask(what, fields, signal) {
        const body = new URLSearchParams(fields);
        const response = await fetch(`${base}/${what}`, {
            method: "POST", body, signal, headers: { "x-form-token": token }, redirect: "manual",
        });
        if (response.ok) return response.json();
        if (response.status === 401 || response.type === "opaqueredirect") {
            throw new Refused("The session has ended: sign in again, and choose the files again to go on.", 401);
        }
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const problem = page.querySelector(".notice")?.textContent || `It was refused (${response.status}).`;
        throw isFinal(response.status) ? new Refused(problem, response.status) : new Error(problem);
    }

    // Calls `act` once `signal` is aborted, until the function that this returns is called.
    function onAbort(signal, act) {
        if (signal.aborted) act();
        else signal.addEventListener("abort", act, { once: true });
        return () => signal.removeEventListener("abort", act);
    }

    // Sends bytes to a presigned address, and calls `tell` with how many are sent.
    function send(url, body, type, signal, tell) {
        return new Promise((done, fail) => {
            const request = new XMLHttpRequest();
            request.open("PUT", url);
            if (type) request.setRequestHeader("content-type", type);
            request.upload.addEventListener("progress", (event) => tell(event.loaded));
            request.addEventListener("load", () => {
                if (request.status === 200) return done(request.getResponseHeader("etag"));
                const problem = /<Message>([^<]*)</.exec(request.responseText)?.[1] || `status ${request.status}`;
                fail(isFinal(request.status) ? new Refused(problem, request.status) : new Error(problem));
            });
            request.addEventListener("error", () => fail(new Error("the connection was lost")));
            request.addEventListener("abort", () => fail(new Cancelled()));
            if (signal.aborted) return fail(new Cancelled());
            const forget = onAbort(signal, () => request.abort());
            request.addEventListener("loadend", forget);
            request.send(body);
        });
    }

    const pause = (time, signal) => new Promise((done, fail) => {
        const timer = setTimeout(() => { forget(); done(); }, time);
        const forget = onAbort(signal, () => { clearTimeout(timer); fail(new Cancelled()); });
    });

    // Runs some workers, which all end when one fails; gives what made it fail.
    async function together(signal, count, work) {
        const group = new AbortController();
        const forget = onAbort(signal, () => group.abort());
        let problem;
        const worker = async () => {
            try {
                await work(group.signal);
            } catch (failure) {
                problem ??= failure;
                group.abort();
            }
        };
        await Promise.all(Array.from({ length: count }, worker));
        forget();
        if (problem) throw problem;
    }

    // Calls `act` again when a lost connection or a busy server made it fail.
    async function patiently(signal, act) {
        for (let attempt = 1; ; attempt++) {
            try {
                return await act();
            } catch (problem) {
                if (signal.aborted) throw new Cancelled();
                if (problem instanceof Refused || attempt === ATTEMPTS) throw problem;
                await pause(500 * 2 ** attempt, signal);
            }
        }
    }

    class Job {
        constructor(file, key) {
            Object.assign(this, { file, key, sent: 0, state: "waits", parts: new Map(), control: new AbortController() });
            this.memory = `stratum-upload:${bucket}:${key}:${file.size}:${file.lastModified}`;
        }

        show() {
            const row = document.createElement("li");
            const name = document.createElement("span");
            name.className = "name";
            name.textContent = this.key.slice(prefix.length);
            name.title = this.key;
            this.bar = document.createElement("progress");
            this.bar.max = Math.max(this.file.size, 1);
            this.bar.setAttribute("aria-label", `Progress of ${name.textContent}`);
            this.told = document.createElement("span");
            this.told.className = "muted";
            this.end = button("Cancel", () => this.cancel());
            this.end.setAttribute("aria-label", `Cancel ${name.textContent}`);
            this.again = button("Try again", () => this.retry());
            this.again.setAttribute("aria-label", `Try again: ${name.textContent}`);
            this.row = row;
            row.append(name, this.bar, this.told, this.end, this.again);
            list.append(row);
            this.draw();
        }

        // What is there of a file in parts stays, and only the rest is sent.
        retry() {
            Object.assign(this, { state: "waits", sent: 0, parts: new Map(), control: new AbortController() });
            this.draw();
            tell();
            next();
        }

        // Once the session has ended no attempt helps. What was sent of a file stands until it is chosen again.
        mayRetry() {
            return this.state === "failed" && this.status !== 401;
        }

        draw(problem) {
            // Of many files those that fail get a row, too.
            if (!this.bar && this.state === "failed" && list.children.length < 2 * SHOWN) this.show();
            if (!this.bar) return;
            this.bar.value = this.state === "done" ? this.bar.max : this.sent;
            const words = { waits: "waits", done: "done", cancelled: "cancelled", goes: `${Math.floor(this.sent / this.bar.max * 100)} %` };
            this.told.textContent = problem || words[this.state] || this.state;
            this.row.classList.toggle("failed", this.state === "failed");
            this.end.hidden = !["waits", "goes"].includes(this.state);
            this.again.hidden = !this.mayRetry();
        }

        count(number, bytes) {
            this.parts.set(number, bytes);
            this.sent = [...this.parts.values()].reduce((sum, part) => sum + part, 0);
            this.draw();
            tell();
        }

        async run() {
            if (this.state !== "waits") return;
            this.state = "goes";
            try {
                await (this.file.size > 2 * PART ? this.inParts() : this.whole());
                this.state = "done";
                this.draw();
            } catch (problem) {
                this.state = problem instanceof Cancelled || this.control.signal.aborted ? "cancelled" : "failed";
                this.status = problem.status;
                this.draw(this.state === "failed" ? problem.message : undefined);
            }
            tell();
        }

        async whole() {
            const { signal } = this.control;
            await patiently(signal, async () => {
                const { url } = await ask("begin", { key: this.key }, signal);
                await send(url, this.file, this.file.type, signal, (bytes) => this.count(1, bytes));
            });
        }

        async inParts() {
            const { signal } = this.control;
            const size = Math.max(PART, Math.ceil(this.file.size / 10000 / PART) * PART);
            const count = Math.ceil(this.file.size / size);
            const tags = new Map();
            this.upload = localStorage.getItem(this.memory);
            if (this.upload) {
                try {
                    const fields = { key: this.key, upload: this.upload, from: 1, to: 0, known: "yes" };
                    const { there } = await patiently(signal, () => ask("parts", fields, signal));
                    for (const part of there) {
                        const whole = Math.min(size, this.file.size - (part.number - 1) * size);
                        if (part.size === whole) { tags.set(part.number, part.etag); this.count(part.number, whole); }
                    }
                } catch (problem) {
                    // Only an upload that isn't there is begun anew: another one's parts may be all but complete.
                    if (problem.status !== 404) throw problem;
                    this.upload = null;
                }
            }
            if (!this.upload) {
                const begun = await patiently(signal, () => ask("begin", { key: this.key, type: this.file.type, parts: "yes" }, signal));
                this.upload = begun.upload;
                localStorage.setItem(this.memory, this.upload);
            }
            const missing = [];
            for (let number = 1; number <= count; number++) if (!tags.has(number)) missing.push(number);
            await together(signal, PARTS_AT_ONCE, async (signal) => {
                for (let number = missing.shift(); number; number = missing.shift()) {
                    const piece = this.file.slice((number - 1) * size, number * size);
                    tags.set(number, await patiently(signal, async () => {
                        const fields = { key: this.key, upload: this.upload, from: number, to: number };
                        const { urls } = await ask("parts", fields, signal);
                        return send(urls[number], piece, "", signal, (bytes) => this.count(number, bytes));
                    }));
                }
            });
            const whole = new URLSearchParams({ key: this.key, upload: this.upload });
            for (const [number, tag] of [...tags].sort(([one], [other]) => one - other)) whole.append("part", `${number} ${tag}`);
            await patiently(signal, () => ask("complete", whole, signal));
            localStorage.removeItem(this.memory);
        }

        cancel() {
            if (!["waits", "goes"].includes(this.state)) return;
            this.control.abort();
            if (this.state === "waits") { this.state = "cancelled"; this.draw(); tell(); }
            // The upload is aborted, so that none of its parts stay in the store.
            const upload = this.upload;
            if (upload) {
                localStorage.removeItem(this.memory);
                ask("abort", { key: this.key, upload }).catch(() => {});
            }
        }
    }

    const jobs = [];
    let running = 0;

    function next() {
        while (running < FILES_AT_ONCE) {
            const job = jobs.find((job) => job.state === "waits");
            if (!job) break;
            running++;
            job.run().finally(() => { running--; next(); });
        }
    }

    const inWords = (bytes) => {
        const unit = Math.min(4, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
        return `${(bytes / 1024 ** unit).toFixed(unit ? 1 : 0)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
    };

    // How many bytes a second were sent lately, and so how long the rest takes.
    const lately = [];
    function pace(sent, all) {
        const now = performance.now();
        lately.push([now, sent]);
        while (lately.length > 2 && now - lately[0][0] > 10000) lately.shift();
        const [since, before] = lately[0];
        const rate = (sent - before) / (now - since) * 1000;
        if (!(rate > 0) || now - since < 1000) return "";
        const seconds = Math.ceil((all - sent) / rate);
        const left = seconds < 90 ? `${seconds} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
        return `, ${inWords(rate)} a second, ${left} left`;
    }

    let leaving = false;
    function tell() {
        const of = (state) => jobs.filter((job) => job.state === state).length;
        const all = jobs.reduce((sum, job) => sum + job.file.size, 0);
        const sent = jobs.reduce((sum, job) => sum + (job.state === "done" ? job.file.size : job.sent), 0);
        const open = of("waits") + of("goes");
        const failed = of("failed");
        words.textContent = `${of("done")} of ${jobs.length} files, ${inWords(sent)} of ${inWords(all)}` + (open ? pace(sent, all) : "") + (failed ? `; ${failed} failed` : "");
        words.classList.toggle("problem", failed > 0);
        again.hidden = open > 0 || jobs.filter((job) => job.mayRetry()).length < 2;
        stop.hidden = open === 0;
        if (open === 0 && of("done") > 0 && failed === 0 && !leaving) {
            leaving = true;
            const address = new URL(location.href);
            address.searchParams.set("uploaded", of("done"));
            location.replace(address);
        }
    }

    function add(files) {
        for (const { file, path } of files) {
            const job = new Job(file, prefix + path);
            jobs.push(job);
            // A folder may have a hundred thousand files, of which only some get a row.
            if (jobs.length <= SHOWN) job.show();
        }
        if (!files.length) return;
        transfers.hidden = false;
        tell();
        next();
    }

    // Collects all files below an entry that was dropped, with their paths.
    async function walk(entry, path, found) {
        if (entry.isFile) {
            const file = await new Promise((done, fail) => entry.file(done, fail));
            found.push({ file, path: path + entry.name });
            return;
        }
        const reader = entry.createReader();
        for (;;) {
            const some = await new Promise((done, fail) => reader.readEntries(done, fail));
            if (!some.length) return;
            for (const inner of some) await walk(inner, `${path}${entry.name}/`, found);
        }
    }

    const hasFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
    let depth = 0;
    addEventListener("dragenter", (event) => { if (hasFiles(event)) { depth++; place.classList.add("over"); } });
    addEventListener("dragleave", (event) => { if (hasFiles(event) && --depth <= 0) { depth = 0; place.classList.remove("over"); } });
    addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
    addEventListener("drop", async (event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        depth = 0;
        place.classList.remove("over");
        // The event's items are gone once its handler waits, so all entries are taken before that.
        const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
        const entries = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile()).filter(Boolean);
        const found = [];
        for (const entry of entries) {
            if (entry instanceof File) found.push({ file: entry, path: entry.name });
            else await walk(entry, "", found);
        }
        add(found);
    });

    addEventListener("beforeunload", (event) => {
        if (!leaving && jobs.some((job) => job.state === "goes")) event.preventDefault();
    });
})();
