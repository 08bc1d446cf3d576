import { existsSync } from "node:fs";
import puppeteer, { type Page } from "npm:puppeteer-core@25.16.0";

/** Where a system's package puts a browser of the Chromium family. */
const PLACES = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-headless-shell",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** The browser of this machine, or of `CHROMIUM`, if there is one. */
export const BROWSER = [Deno.env.get("CHROMIUM"), ...PLACES].find((path) =>
  path && existsSync(path)
);

/** Milliseconds for anything: other tests may keep the machine busy. */
const PATIENCE = 120_000;

/** A page that is open in a browser, and all that went wrong in it. */
export interface OpenPage extends AsyncDisposable {
  readonly page: Page;
  /** Errors and warnings of the console, and errors nobody caught. */
  readonly problems: readonly string[];
  /** Everything that the page asked for. */
  readonly requests: readonly string[];
}

/** Opens a file in a headless browser, with the network cut off. */
export async function openInBrowser(path: string): Promise<OpenPage> {
  const open = await openBrowser();
  await open.page.setOfflineMode(true);
  await open.page.goto(new URL(path, "file:///").href);
  return open;
}

/** Opens what a server of this machine serves. */
export async function openServed(url: string): Promise<OpenPage> {
  const open = await openBrowser();
  await open.page.goto(url);
  return open;
}

async function openBrowser(): Promise<OpenPage> {
  if (BROWSER === undefined) throw new Error("There is no browser");
  const browser = await puppeteer.launch({
    executablePath: BROWSER,
    timeout: PATIENCE,
    // Chromium refuses its own sandbox to root, whom containers run as.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  const problems: string[] = [];
  const requests: string[] = [];
  page.on("console", (message) => problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("request", (request) => requests.push(request.url()));
  await page.setViewport({ width: 1200, height: 800 });
  return { page, problems, requests, [Symbol.asyncDispose]: () => browser.close() };
}
