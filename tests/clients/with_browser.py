"""Chromium: uploads from a page of another origin, by a presigned PUT and by a POST form, as a site does that has its visitors
upload to the store. The bucket's CORS rules decide what the browser lets the page do.
"""

import contextlib
import html
import http.server
import shutil
import threading
import urllib.parse

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from matrix import Skipped, check, equal, read
from with_boto3 import connect, refusal

#: Sends a request and tells what the page may see of the answer, or that the browser kept the answer from it.
FETCH = """
const [url, method, fields, type, text, done] = arguments;
let [body, headers] = [text, type ? { "Content-Type": type } : {}];
if (fields) {
    body = new FormData();
    for (const [name, value] of Object.entries(fields)) body.append(name, value);
    body.append("file", new Blob([text], { type: "text/plain" }), "notes.txt");
}
fetch(url, { method, body, headers }).then(
    async (answer) => done([answer.status, answer.headers.get("etag"), await answer.text()]),
    () => done("kept back"));
"""


class Site(http.server.BaseHTTPRequestHandler):
    """A site whose every page is the server's `page`."""

    def do_GET(self):
        body = self.server.page.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def site():
    """A site on a free port. Its host is `localhost`, which is another one than the store's `127.0.0.1`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.page, server.origin = "<p>A page.</p>", f"http://localhost:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def browser(workspace):
    for program in ["chromium", "chromedriver"]:
        if not shutil.which(program):
            raise Skipped(f"{program} is absent (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     f"--user-data-dir={workspace.path('profile')}"]:
        options.add_argument(argument)
    # The store's certificate is its own authority.
    options.accept_insecure_certs = True
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=shutil.which("chromedriver")))
    driver.set_script_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()


def allow(client, workspace, origin, **more):
    rule = {"AllowedOrigins": [origin], "AllowedMethods": ["PUT", "POST"], "AllowedHeaders": ["*"], **more}
    client.put_bucket_cors(Bucket=workspace.bucket, CORSConfiguration={"CORSRules": [rule]})


def body_of(client, workspace, key):
    return client.get_object(Bucket=workspace.bucket, Key=key)["Body"].read().decode()


@check
def presigned_put_from_another_origin(workspace):
    client = connect(workspace)
    name = {"Bucket": workspace.bucket, "Key": "by-put"}
    url = client.generate_presigned_url("put_object", Params={**name, "ContentType": "text/plain"})
    with browser(workspace) as driver, site() as page:
        driver.get(page.origin)
        put = lambda text: driver.execute_async_script(FETCH, url, "PUT", None, "text/plain", text)  # noqa: E731
        equal(put("no rule"), "kept back")
        allow(client, workspace, "http://elsewhere.example")
        equal(put("another's rule"), "kept back")
        # The browser asks before it sends, so that nothing was stored.
        equal(refusal(client.head_object, **name), (404, "404"))
        allow(client, workspace, page.origin)
        equal(put("from a browser"), [200, None, ""])
        equal(body_of(client, workspace, "by-put"), "from a browser")
        allow(client, workspace, page.origin, ExposeHeaders=["ETag"])
        equal(put("again")[:2], [200, client.head_object(**name)["ETag"]])


@check
def post_form_from_another_origin(workspace):
    client = connect(workspace)
    with browser(workspace) as driver, site() as page:
        after = f"{page.origin}/after"
        by_script = client.generate_presigned_post(
            workspace.bucket, "by-script/${filename}", Fields={"success_action_status": "201"},
            Conditions=[{"success_action_status": "201"}, ["content-length-range", 1, 100]])
        by_form = client.generate_presigned_post(
            workspace.bucket, "by-form/${filename}", Fields={"success_action_redirect": after},
            Conditions=[{"success_action_redirect": after}])
        hidden = "".join(f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
                         for name, value in by_form["fields"].items())
        page.page = (f'<form method="post" enctype="multipart/form-data" action="{html.escape(by_form["url"])}">{hidden}'
                     '<input type="file" name="file" id="file"><button>Send</button></form>')
        driver.get(page.origin)
        post = lambda text: driver.execute_async_script(FETCH, by_script["url"], "POST", by_script["fields"], "", text)  # noqa: E731
        equal(post("unseen"), "kept back")
        allow(client, workspace, page.origin, ExposeHeaders=["ETag"])
        status, etag, document = post("posted")
        head = client.head_object(Bucket=workspace.bucket, Key="by-script/notes.txt")
        equal((status, etag), (201, head["ETag"]))
        assert "<Key>by-script/notes.txt</Key>" in document, document
        equal(body_of(client, workspace, "by-script/notes.txt"), "posted")
        # The page reads why a form was refused, too.
        status, _, document = post("x" * 101)
        assert status == 400 and "EntityTooLarge" in document, document

        # A form that the page doesn't send by a script needs no rule, and leads back.
        client.delete_bucket_cors(Bucket=workspace.bucket)
        path = workspace.file("a photo.bin", 5_000)
        driver.find_element(By.ID, "file").send_keys(path)
        driver.find_element(By.TAG_NAME, "button").click()
        WebDriverWait(driver, 60).until(lambda driver: driver.current_url.startswith(after))
        told = urllib.parse.parse_qs(urllib.parse.urlsplit(driver.current_url).query)
        equal((told["bucket"], told["key"]), ([workspace.bucket], ["by-form/a photo.bin"]))
        stored = client.get_object(Bucket=workspace.bucket, Key="by-form/a photo.bin")["Body"].read()
        assert stored == read(path), "the file came otherwise"
