import { useEffect, useRef } from "npm:preact@11.2.0/hooks";
import type { KeptToken } from "./api.ts";
import { html } from "./html.ts";

/** Stretches of tokens that equally many heads kept. */
interface Stretch {
  readonly level: number;
  readonly text: string;
}

/** What was kept of a prompt: a strip from its beginning to its end, and the text itself. */
export function KeptView({ tokens }: { readonly tokens: readonly KeptToken[] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const draw = () => drawStrip(element, tokens);
    draw();
    const observer = new ResizeObserver(draw);
    observer.observe(element);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    return () => {
      observer.disconnect();
      scheme.removeEventListener("change", draw);
    };
  }, [tokens]);
  const some = tokens.filter(({ kept }) => kept > 0).length;
  const all = tokens.filter(({ kept }) => kept >= 1).length;
  const label = `Of ${tokens.length} tokens, ${some} were kept by some heads and ${all} by all`;
  return html`
    <figure class="kept">
      <canvas ref=${canvas} role="img" aria-label=${label}></canvas>
      <figcaption>${label}. From the beginning to the end; the taller, the more heads.</figcaption>
      <details>
        <summary>The text, by what was kept</summary>
        <p class="kept-text" tabindex="0">${stretches(tokens).map(({ level, text }) =>
          html`
            <span class=${`k${level}`}>${text}</span>
          `
        )}</p>
      </details>
    </figure>
  `;
}

function levelOf(kept: number): number {
  return kept <= 0 ? 0 : kept >= 1 ? 5 : 1 + Math.min(3, Math.floor(kept * 4));
}

function stretches(tokens: readonly KeptToken[]): Stretch[] {
  const found: { level: number; text: string }[] = [];
  for (const { text, kept } of tokens) {
    const level = levelOf(kept);
    const last = found.at(-1);
    if (last?.level === level) last.text += text;
    else found.push({ level, text });
  }
  return found;
}

function drawStrip(canvas: HTMLCanvasElement, tokens: readonly KeptToken[]): void {
  const context = canvas.getContext("2d");
  const scale = globalThis.devicePixelRatio || 1;
  const width = canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale));
  const height = canvas.height = Math.max(1, Math.round(canvas.clientHeight * scale));
  if (!context || tokens.length === 0) return;
  const style = getComputedStyle(canvas);
  context.fillStyle = style.getPropertyValue("--ground");
  context.fillRect(0, 0, width, height);
  context.fillStyle = style.getPropertyValue("--accent");
  for (let column = 0; column < width; column++) {
    const from = Math.floor(column / width * tokens.length);
    const to = Math.max(from + 1, Math.ceil((column + 1) / width * tokens.length));
    const here = tokens.slice(from, to);
    const share = here.reduce((sum, { kept }) => sum + kept, 0) / here.length;
    if (share <= 0) continue;
    context.globalAlpha = 0.25 + 0.75 * share;
    const tall = Math.max(2, Math.round(height * share));
    context.fillRect(column, height - tall, 1, tall);
  }
  context.globalAlpha = 1;
}
