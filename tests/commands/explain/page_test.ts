import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { decode } from "npm:fast-png@8.0.0";
import type { Page } from "npm:puppeteer-core@25.16.0";
import { explanationPage } from "../../../commands/explain/page/_page.ts";
import { MOST_SCORES } from "../../../commands/explain/page/_pack.ts";
import type { Piece } from "../../../commands/explain/_pieces.ts";
import { BROWSER, openInBrowser } from "../../_browser.ts";
import { callCli } from "../_call_cli.ts";
import { testFolder, textModel } from "../_run_cli.ts";

const ATTACK = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>&amp;";

/** A page of four tokens in five pieces of text, two layers of two heads, the first may slide. */
async function smallPage(tokens = 4, layer = -1, window?: number): Promise<string> {
  const texts = ["One ", ATTACK, "↵\n", "<U+202E>"];
  const pieces: Piece[] = Array.from({ length: tokens }, (_, from) => ({
    from,
    count: 1,
    text: texts[from] ?? "word ",
  }));
  const head = (...kept: number[]) => ({ kept });
  return await explanationPage({
    explanation: {
      model: `a "model" <b>`,
      policy: "snap<i>kv",
      options: { window: 2 },
      tokens,
      budget: 2,
      layers: [
        window === undefined
          ? { layer: 0, heads: [head(0, 3), head(0, 1)] }
          : { layer: 0, window, heads: [head(2, 3), head(2, 3)] },
        { layer: 1, heads: [head(0, 1), head(0, 3)] },
      ],
      bytes: { before: 4096, after: 2048 },
    },
    layer,
    head: -1,
    pieces,
    ids: pieces.map((_, at) => 100 + at),
    scores: [0, 1].map((layer) =>
      layer === 0 && window !== undefined
        ? new Float32Array()
        : Float32Array.from({ length: 2 * tokens }, (_, at) => layer * 100 + at)
    ),
  });
}

/** Moves a slider as a person does: with the keyboard. */
async function move(page: Page, slider: string, key: "ArrowRight" | "Home" | "End", times = 1) {
  await page.focus(`#${slider}`);
  for (let i = 0; i < times; i++) await page.keyboard.press(key);
}

const shades = (page: Page) =>
  page.$$eval("#text .block > span", (spans) => spans.map((span) => span.className).join(" "));

const tip = (page: Page) => page.$eval("#tip", (element) => element.textContent);

/** Different pixels of two screenshots of one size. */
function difference(a: Uint8Array, b: Uint8Array): number {
  const [one, other] = [decode(a), decode(b)];
  assertEquals([one.width, one.height], [other.width, other.height]);
  let count = 0;
  for (const [at, value] of one.data.entries()) {
    if (at % one.channels === 0 && value !== other.data[at]) count++;
  }
  return count;
}

const browserTest = (name: string, run: () => Promise<void>) =>
  Deno.test({
    name: BROWSER === undefined ? `${name} (skipped: there is no Chromium here)` : name,
    ignore: BROWSER === undefined,
    // The browser is a process of its own that outlives its last message by a moment.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: run,
  });

browserTest("kvjudge explain --html writes a page whose sliders show other heads", async () => {
  using home = testFolder();
  const model = await textModel(home.path);
  const path = `${home.path}/page.html`;
  const question = "Mill Lane has twelve houses 🎉 and one inn.\n\nThe mill burned down in 1874.";
  const { code, out, err } = await callCli(
    ["explain", "-m", model, "-p", "knorm", "-b", "12", "--html", path, question],
    { env: { KVJUDGE_HOME: home.path } },
  );
  assertEquals([code, err], [0, ""]);
  assertMatch(
    out,
    /^kept by each head: 12\nkept by all.*\n.*\nWrote .*page\.html \(\d+\.\d KiB\)/m,
  );

  await using opened = await openInBrowser(path);
  const { page, problems, requests } = opened;
  await page.waitForSelector("body[data-ready]");
  const text = await page.$eval("#text", (element) => element.textContent);
  assert(text?.includes("houses 🎉 and one inn.↵\n↵\nThe mill"), text ?? "");

  const all = await shades(page);
  const drawn = () => page.$eval("#picture", (canvas) => (canvas as HTMLCanvasElement).toDataURL());
  const canvases = [await drawn()];
  const pictures = [await page.screenshot()];
  await move(page, "layer", "ArrowRight");
  await move(page, "head", "ArrowRight");
  const first = await shades(page);
  assertMatch(await page.$eval("#kept", (element) => element.textContent ?? ""), / keeps 12 of /);
  assertEquals(first.split(" ").filter((shade) => shade === "k5").length >= 10, true);
  assertMatch(first, /^(k0|k5)( (k0|k5))*$/);
  pictures.push(await page.screenshot());
  canvases.push(await drawn());
  await move(page, "head", "ArrowRight");
  const second = await shades(page);
  pictures.push(await page.screenshot());
  canvases.push(await drawn());

  assertEquals(new Set(canvases).size, 3);
  assertNotEquals(all, first);
  assertNotEquals(first, second);
  for (const [a, b] of [[0, 1], [1, 2], [0, 2]] as const) {
    const [one, other] = [pictures[a], pictures[b]];
    assert(one && other && difference(one, other) > 500, `pictures ${a} and ${b} look the same`);
  }
  assertEquals(problems, []);
  assertEquals(requests, [`file://${path}`]);
});

browserTest(
  "explanationPage() counts the global layers, and says of the others that they slide",
  async () => {
    using home = testFolder();
    const path = `${home.path}/page.html`;
    await Deno.writeTextFile(path, await smallPage(4, -1, 3));
    await using opened = await openInBrowser(path);
    const { page, problems } = opened;
    await page.waitForSelector("body[data-ready]");
    const said = () => page.$eval("#kept", (element) => element.textContent ?? "");
    assertEquals(await shades(page), "k5 k2 k0 k2");
    assertMatch(await said(), /all 2 heads keep 1, some keep 2, none keeps 1\.$/);
    const hint = await page.$eval(".hint", (element) => element.textContent ?? "");
    assertMatch(
      hint,
      /Layers that slide: 0 \(window 3, 2 tokens kept\)\..* Pale rows are theirs\.$/,
    );
    await page.hover('[data-piece="1"]');
    assertMatch(await tip(page) ?? "", /kept by 1 of 2 heads \(50%\) · score 100$/);
    await move(page, "layer", "ArrowRight");
    assertMatch(await said(), /This layer slides: it keeps its last 2 tokens\.$/);
    assertEquals(await shades(page), "k0 k0 k5 k5");
    await page.hover('[data-piece="3"]');
    assertMatch(await tip(page) ?? "", /kept by 2 of 2 heads \(100%\)$/);
    assertEquals(problems, []);
  },
);

browserTest("explanationPage() shows hostile text as text and says what a token is", async () => {
  using home = testFolder();
  const path = `${home.path}/page.html`;
  await Deno.writeTextFile(path, await smallPage());
  await using opened = await openInBrowser(path);
  const { page, problems } = opened;
  await page.waitForSelector("body[data-ready]");
  assertEquals(await page.title(), "What snap<i>kv keeps of 4 tokens");
  assertEquals(await page.$$eval("img, i, b", (found) => found.length), 0);
  assertEquals(await page.$eval("#text", (e) => e.textContent), `One ${ATTACK}↵\n<U+202E>`);
  assertEquals(await shades(page), "k5 k2 k0 k2");

  await page.focus("#text");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  assertEquals(
    await tip(page),
    `“${ATTACK}”position 1, token 101 · kept by 2 of 4 heads (50%) · score 53`,
  );
  await move(page, "layer", "End");
  await move(page, "head", "End");
  await page.hover('[data-piece="3"]');
  assertEquals(await tip(page), "“<U+202E>”position 3, token 103 · kept · score 110");
  assertEquals(problems, []);
});

browserTest("explanationPage() goes to the head that is clicked in the picture", async () => {
  using home = testFolder();
  const path = `${home.path}/page.html`;
  await Deno.writeTextFile(path, await smallPage(4, 1));
  await using opened = await openInBrowser(path);
  const { page, problems } = opened;
  await page.waitForSelector("body[data-ready]");
  const values = () =>
    page.$$eval("output", (outputs) => outputs.map(({ textContent }) => textContent));
  assertEquals(await values(), ["1", "all"]);
  const box = await (await page.$("#picture"))?.boundingBox();
  // The second row from the top is head 1 of layer 0; its rightmost quarter the last token.
  await page.mouse.click((box?.x ?? 0) + (box?.width ?? 0) - 20, (box?.y ?? 0) + 18);
  assertEquals(await values(), ["0", "1"]);
  assertMatch(await tip(page) ?? "", /position 3, token 103 · evicted/);
  assertEquals(problems, []);
});

Deno.test("explanationPage() asks for nothing and lets only its own script run", async () => {
  const page = await smallPage();
  assertMatch(
    page,
    /default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha/,
  );
  assertEquals([...page.matchAll(/(?:src|href)="(?!data:)/g)].length, 0);
  assertEquals(page.match(/<script/g)?.length, 2);
  assert(!page.includes("\u202e") && !page.includes("\x1b"));
});

Deno.test("explanationPage() stays small for long prompts", async () => {
  const tokens = MOST_SCORES;
  const page = await smallPage(tokens);
  // The scores alone would be 8 MB; text and ids of a million tokens are what is left.
  assert(page.length < 14 * tokens, `${page.length} characters`);
  const short = await smallPage(10_000);
  assert(short.length < 300_000, `${short.length} characters`);
});

Deno.test("kvjudge explain --html refuses a place that cannot be written before it reads", async () => {
  using home = testFolder();
  const at = async (html: string) => {
    const args = ["explain", "-m", `${home.path}/none`, "--html", html, "x"];
    return await callCli(args, { env: { KVJUDGE_HOME: home.path } });
  };
  const { code, out, err } = await at(`${home.path}/missing/page.html`);
  assertEquals([code, out], [2, ""]);
  assertMatch(
    err,
    /^error: Cannot write .*missing\/page\.html: its folder does not exist[^\n]*\n$/,
  );
  assertMatch((await at(home.path)).err, /^error: Cannot write .*: it is a folder; give the name/);
});
