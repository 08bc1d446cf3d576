import { type Explanation, slidingLayers } from "../../_explanation.ts";
import { formatBytes } from "../../_output.ts";
import { printable } from "../_pieces.ts";
import { openModel } from "./_model.ts";
import { packPage, type PackRequest } from "./_pack.ts";
import { createPicture } from "./_picture.ts";
import { startPage } from "./_start.ts";
import { STYLE } from "./_style.ts";

/**
 * One page that shows what was kept, whole in itself: it asks for nothing from anywhere, and its
 * security policy lets it run its own script and nothing else.
 */
export async function explanationPage(request: PackRequest): Promise<string> {
  const { explanation } = request;
  const { tokens, layers, policy } = explanation;
  const data = await packPage(request);
  const title = `What ${policy} keeps of ${tokens.toLocaleString("en")} tokens`;
  const script = `(${startPage})(${openModel}, ${createPicture});`;
  const policyText = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; " +
    `script-src 'sha256-${await sha256(script)}'`;
  const slider = (name: string, count: number) =>
    `<label><span>${name === "layer" ? "Layer" : "KV head"}</span>` +
    `<input type="range" id="${name}" min="-1" max="${count - 1}" value="-1">` +
    `<output id="${name}-value" for="${name}">all</output></label>`;
  return `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policyText}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
<body>
<header>
<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(subtitle(explanation))}</p>
</header>
<noscript><p>This page shows the text with a script of its own; please allow it to run.</p></noscript>
<div class="columns">
<section class="panel card" aria-label="Layers and heads">
<div class="sliders">${slider("layer", layers.length)}${slider("head", data.heads)}</div>
<p id="kept" role="status"></p>
<canvas id="picture" role="img" aria-label="Which positions each KV head of each layer keeps"></canvas>
<p class="hint">Each row is a KV head, layer 0 at the top. Click a row to look at its head. In the text,
← and → go from token to token.${hint(explanation)}</p>
</section>
<section>
<div class="legend"><span class="k0">evicted</span><span class="k1 some">to 25%</span><span
 class="k2 some">to 50%</span><span class="k3 some">to 75%</span><span class="k4 some">over 75%</span><span
 class="k5">kept<span class="some"> by all</span></span>
<label><input type="checkbox" id="fold"> only what is kept</label></div>
<main id="text" tabindex="0" aria-label="The prompt, token by token"></main>
</section>
</div>
<div id="tip" role="tooltip" aria-live="polite" hidden></div>
<script type="application/json" id="data">${
    JSON.stringify(data).replaceAll("<", "\\u003c")
  }</script>
<script>${script}</script>
</body>
</html>
`;
}

/** What the rows of layers that slide mean, if there are some. */
function hint(explanation: Explanation): string {
  const lines = slidingLayers(explanation);
  if (lines.length === 0) return "";
  const mixed = explanation.layers.some(({ window }) => window === undefined);
  const pale = mixed ? " Pale rows are theirs." : "";
  return ` ${escapeHtml(lines.map((line) => `${capital(line)}.`).join(" "))}${pale}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function subtitle({ model, budget, options, bytes, layers }: Explanation): string {
  const heads = layers.reduce((sum, layer) => sum + layer.heads.length, 0);
  const chosen = Object.keys(options).length > 0 ? ` · options ${JSON.stringify(options)}` : "";
  return printable(
    `${model} · ${layers.length} layers, ${heads} KV heads · budget ${budget} tokens per head · ` +
      `cache ${formatBytes(bytes.before)} → ${formatBytes(bytes.after)}${chosen}`,
  );
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}

async function sha256(text: string): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toBase64();
}
