import { assert, assertEquals } from "@std/assert";
import type { Page } from "npm:puppeteer-core@25.16.0";
import type { GenerationRequest } from "../../../server/scheduler/request.ts";
import { BROWSER, openServed } from "../../_browser.ts";
import { type FakeScheduler, fakeScheduler, type Script } from "../_fake_scheduler.ts";
import { testServer } from "../_running_server.ts";
import { testApp } from "../_test_app.ts";
import { until } from "../clients/_until.ts";

const HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>";

Deno.test("the page is served without a key, and may do nothing but ask its own server", async () => {
  const { get } = testApp(undefined, { apiKeys: ["secret"] });
  for (
    const [path, type] of [
      ["/", "text/html"],
      ["/page.js", "text/javascript"],
      ["/page.css", "text/css"],
    ] as const
  ) {
    const response = await get(path);
    assertEquals(response.status, 200);
    assertEquals(response.headers.get("content-type"), `${type}; charset=utf-8`);
    const security = response.headers.get("content-security-policy") ?? "";
    assert(security.startsWith("default-src 'none'; script-src 'self';"), security);
    assertEquals(security.includes("unsafe"), false);
    assert((await response.text()).length > 300);
  }
});

/** What a prompt's last message says. */
function lastSaid({ prompt }: GenerationRequest): string {
  return prompt.kind === "chat" ? prompt.messages.at(-1)?.content ?? "" : "";
}

async function opened(
  script: (request: GenerationRequest) => Script,
  work: (page: Page, scheduler: FakeScheduler, url: string) => Promise<void>,
  apiKeys: readonly string[] = [],
) {
  const scheduler = fakeScheduler(script);
  await using server = await testServer(scheduler, { apiKeys });
  await using open = await openServed(`${server.url}/`);
  const dialogs: string[] = [];
  open.page.on("dialog", (dialog) => {
    dialogs.push(dialog.message());
    dialog.dismiss();
  });
  await work(open.page, scheduler, server.url);
  assertEquals(dialogs, []);
  for (const url of open.requests) assert(/^data:/.test(url) || url.startsWith(server.url), url);
  // What the server refuses is told by the browser too.
  assertEquals(open.problems.filter((one) => !one.includes("status of 401")), []);
}

/** Drops a file where documents go. */
async function drop(page: Page, name: string, type: string, text: string): Promise<void> {
  await page.evaluate(
    (name, type, text) => {
      const data = new DataTransfer();
      data.items.add(new File([text], name, { type }));
      document.querySelector(".document")?.dispatchEvent(
        new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }),
      );
    },
    name,
    type,
    text,
  );
}

const texts = (page: Page, selector: string): Promise<string[]> =>
  page.$$eval(selector, (found) => found.map((one) => one.textContent ?? ""));

const ready = (page: Page) => page.waitForSelector("#model option");
const ignore = BROWSER === undefined;

Deno.test({
  name: "two policies answer the same question about a dropped page, and what was kept is shown",
  ignore,
  fn: () =>
    opened(() => ({ answers: [["Twelve ", HOSTILE]] }), async (page, scheduler) => {
      await ready(page);
      assertEquals(await texts(page, "#model option"), ["fake", "other/model"]);
      await page.click(".bar .check input");
      await drop(
        page,
        `houses${HOSTILE}.html`,
        "text/html",
        `<title>x</title><script>alert(3)</script><p>Mill Lane has</p><p>12 <b>houses</b>.</p>`,
      );
      await page.waitForSelector(".document .name");
      await page.type("#lane-b-budget", "0");
      await page.type("#question", "How many?");
      await page.keyboard.press("Enter");
      await page.waitForFunction(() => document.querySelectorAll(".kept canvas").length === 2);
      const [first, second] = scheduler.requests;
      assert(first && second);
      assertEquals(lastSaid(first), "Mill Lane has\n\n12 houses.\n\nHow many?");
      assertEquals(lastSaid(second), lastSaid(first));
      const evictions = scheduler.requests.map(({ eviction }) => eviction && eviction.policy);
      assertEquals(evictions, ["snapkv", false]);
      assertEquals([first.explain, second.explain], [true, true]);
      assertEquals(await texts(page, ".answer"), [`Twelve ${HOSTILE}`, `Twelve ${HOSTILE}`]);
      assertEquals(await texts(page, ".document strong"), [`houses${HOSTILE}.html`]);
      assertEquals(await page.$$eval("img, #app script", (found) => found.length), 0);
      const facts = (await texts(page, ".lane:first-child .facts div")).join("|");
      assert(facts.includes("Prompt10 tokens|Kept8 tokens a head|Cache1000 B → 800 B"), facts);
      assert(facts.includes("tokens/s"), facts);
      await page.type("#question", "And then?");
      await page.keyboard.press("Enter");
      await page.waitForFunction(() => document.querySelectorAll(".kept canvas").length === 4);
      const { prompt } = scheduler.requests[2] ?? first;
      assert(prompt.kind === "chat");
      assertEquals(
        prompt.messages.map(({ role }) => role),
        ["user", "assistant", "user"],
      );
    }),
});

Deno.test({
  name: "a document that is read once stays on the server, and questions follow it",
  ignore,
  fn: () =>
    opened(() => ({}), async (page, scheduler) => {
      await ready(page);
      await drop(page, "houses.md", "text/markdown", "Mill Lane has 12 houses.");
      await page.waitForSelector(".document .check input");
      await page.click(".document .check input");
      await page.type("#question", "How many?");
      await page.keyboard.press("Enter");
      await page.waitForSelector(".facts");
      const [stored] = scheduler.documents.list();
      assertEquals(stored?.name, "houses.md");
      const [request] = scheduler.requests;
      assert(request);
      assertEquals([request.document, lastSaid(request)], [stored?.id, "How many?"]);
      assertEquals(await page.$$eval(".kept", (found) => found.length), 0);
    }),
});

Deno.test({
  name: "documents on the server are listed, asked about, looked at and deleted",
  ignore,
  fn: () =>
    opened(() => ({}), async (page, scheduler, url) => {
      await ready(page);
      assertEquals(await page.$$eval(".stored", (found) => found.length), 0);
      for (const text of ["Mill Lane has 12 houses.", "Another."]) {
        await scheduler.documents.create({ text, name: `${text.length}${HOSTILE}` });
      }
      // One for texts, which chats cannot ask about.
      await scheduler.documents.create({ text: "For completions.", form: "text" });
      await page.goto(url);
      await page.waitForSelector(".stored summary");
      assertEquals(await texts(page, ".stored summary"), ["Documents on the server (2)"]);
      await page.click(".stored summary");
      const [first = ""] = await texts(page, ".stored .name");
      assert(first.startsWith(`24${HOSTILE}24 tokens · 24 kept by full · 5 B · in memory`), first);
      await page.click(".stored li .does button:nth-child(2)");
      await page.waitForSelector(".stored .kept canvas");
      const [label = ""] = await texts(page, ".stored figcaption");
      assert(label.startsWith("Of 2 tokens, 1 were kept by some heads and 1 by all"), label);
      await page.click(".stored li .does button:nth-child(1)");
      await page.waitForSelector(".document .name");
      // It has its own policy already.
      const policy = await page.$eval("#lane-a-policy", (input) =>
        input instanceof HTMLInputElement ? [input.value, input.disabled] : []);
      assertEquals(policy, ["full", true]);
      await page.type("#question", "How many?");
      await page.keyboard.press("Enter");
      await page.waitForSelector(".facts");
      const [request] = scheduler.requests;
      assert(request);
      assertEquals([request.document, lastSaid(request)], ["doc-24", "How many?"]);
      for (const width of [320, 1280]) {
        await page.setViewport({ width, height: 700 });
        const wide = await page.evaluate(() =>
          document.documentElement.scrollWidth
        );
        assert(wide <= width, `${wide} at ${width}`);
      }
      const remove = ".stored li .does button:nth-child(3)";
      await page.click(remove);
      await page.waitForFunction(
        (at) => document.querySelector(at)?.textContent === "Really delete?",
        {},
        remove,
      );
      assertEquals(scheduler.documents.list().length, 3);
      await page.click(remove);
      await page.waitForFunction(() => document.querySelectorAll(".stored li").length === 1);
      assertEquals(scheduler.documents.list().map(({ id }) => id), ["doc-8", "doc-16"]);
      assertEquals(await page.$$eval(".document .name", (found) => found.length), 0);
    }),
});

Deno.test({
  name: "Escape stops an answer, and what came stays",
  ignore,
  fn: () =>
    opened(() => ({ hang: "decoding" }), async (page, scheduler) => {
      await ready(page);
      await page.type("#question", "Why?");
      await page.keyboard.press("Enter");
      await page.waitForFunction(() =>
        document.querySelector(".ask .main")?.textContent === "Stop"
      );
      await page.focus("#question");
      await page.keyboard.press("Escape");
      await page.waitForFunction(() =>
        document.querySelector(".status")?.textContent === "Stopped."
      );
      await until(() => scheduler.cancelled.length === 1);
    }),
});

Deno.test({
  name: "a page asks for the key where the server wants one, and shows what the server says",
  ignore,
  fn: () =>
    opened(
      () => ({ fail: { after: 1, error: new Error("secret detail") } }),
      async (page) => {
        await page.waitForSelector("#key");
        await page.type("#key", "secret");
        await page.keyboard.press("Enter");
        await ready(page);
        await page.type("#question", "Why?");
        await page.keyboard.press("Enter");
        await page.waitForSelector(".turns .error");
        const [error = ""] = await texts(page, ".turns .error");
        assertEquals(error.includes("secret detail"), false);
        await drop(page, "a.pdf", "application/pdf", "%PDF\0\0");
        await page.waitForSelector(".document .error");
        assert((await texts(page, ".document .error")).join().includes("a.pdf is not text"));
      },
      ["secret"],
    ),
});

Deno.test({
  name: "the page fits narrow screens, in light and dark, and the keyboard reaches all of it",
  ignore,
  fn: () =>
    opened(() => ({}), async (page) => {
      await ready(page);
      await page.click(".bar .check input");
      for (const width of [320, 390, 1280]) {
        await page.setViewport({ width, height: 700 });
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert(wide <= width, `${wide} at ${width}`);
      }
      const colours = [];
      for (const value of ["light", "dark"]) {
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value }]);
        colours.push(await page.$eval("body", (body) => getComputedStyle(body).backgroundColor));
      }
      assertEquals(new Set(colours).size, 2);
      const reached = new Set<string>();
      await page.focus("#model");
      for (let presses = 0; presses < 12; presses++) {
        await page.keyboard.press("Tab");
        reached.add(
          await page.evaluate(() => {
            const one = document.activeElement;
            return one?.id || one?.textContent || "";
          }),
        );
      }
      for (const id of ["lane-a-policy", "lane-a-budget", "lane-b-policy", "question"]) {
        assert(reached.has(id), `${id} of ${[...reached].join()}`);
      }
      const unnamed = await page.$$eval("input:not([hidden]), select, textarea", (found) =>
        found.filter((one) =>
          one instanceof HTMLInputElement && one.labels?.length === 0
        ).length);
      assertEquals(unnamed, 0);
    }),
});
