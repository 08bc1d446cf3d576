import { assert, assertEquals } from "@std/assert";
import { ROOT, source } from "../_source_tree.ts";
import { pages } from "./_command_lines.ts";

/** A page without its blocks of code. */
const prose = (page: string) => source(page).replaceAll(/^```[\s\S]*?^```$/gm, "");

/** What a heading is called in links. */
function anchorOf(heading: string): string {
  return heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").trim().toLowerCase()
    .replaceAll(/[^\p{L}\p{N}_ -]/gu, "").replaceAll(" ", "-");
}

function anchors(page: string): readonly string[] {
  return [...prose(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => anchorOf(heading));
}

Deno.test("every link of the docs leads to a file, and to a heading of it", async () => {
  const broken: string[] = [];
  let links = 0;
  for (const page of [...pages(), "CHANGELOG.md"]) {
    for (const [, link = ""] of prose(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue;
      links++;
      const [path = "", anchor] = link.split("#");
      const target = path === ""
        ? page
        : new URL(path, new URL(page, ROOT)).href.slice(ROOT.href.length);
      const there = await Deno.stat(new URL(target, ROOT)).then(() => true, () => false);
      const found = anchor === undefined || !target.endsWith(".md") ||
        (there && anchors(target).includes(anchor));
      if (!there || !found) broken.push(`${page}: ${link}`);
    }
  }
  assertEquals(broken, []);
  assert(links > 150, `${links} links`);
});
