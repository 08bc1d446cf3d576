import type { TopLevelSpec } from "npm:vega-lite@6.5.0";
import { FIGURE_STYLE, renderSvg } from "../render_svg.ts";
import { escapeMarkup } from "./escape.ts";

/** What stands for itself in every figure of a report. */
const STYLE = {
  ...FIGURE_STYLE,
  config: {
    ...FIGURE_STYLE.config,
    // One description of the whole instead of hundreds of its points.
    aria: false,
    legend: { ...FIGURE_STYLE.config.legend, labelLimit: 320, symbolOpacity: 1 },
    axis: { ...FIGURE_STYLE.config.axis, titleFontWeight: "normal" as const },
    concat: { spacing: 26 },
  },
};

/** Marks that show nothing, and attributes that say what holds without them. */
const IDLE = [
  /<path class="foreground" aria-hidden="true" d=""[^>]*\/>/g,
  /<path class="background" aria-hidden="true" d="M0,0h0v0h0Z"[^>]*\/>/g,
  /(?<=<[a-z]+ [^<>]*)(?: aria-hidden="true"| role="graphics-[a-z]+"| aria-roledescription="[^"]*"| pointer-events="none"| opacity="1")/g,
];

/**
 * Draws a figure of a report as the text of a small SVG file.
 *
 * @param title Stands above it.
 * @param description What it shows, for those who do not see it.
 */
export async function draw(
  title: string,
  description: string,
  specification: object,
): Promise<string> {
  const svg = await renderSvg({
    ...STYLE,
    title: { text: title, anchor: "start", fontSize: 13, offset: 10 },
    ...specification,
  } as TopLevelSpec);
  return IDLE.reduce((text, pattern) => text.replace(pattern, ""), svg)
    .replace(/(?<==")[^"<>]*\d\.\d{3,}[^"<>]*(?=")/g, rounded)
    .replace("<svg ", `<svg role="img" aria-label="${escapeMarkup(description)}" `);
}

/** Hundredths of a point show to nobody. */
function rounded(attribute: string): string {
  return attribute.replace(/-?\d+\.\d{3,}/g, (digits) => String(Number(Number(digits).toFixed(2))));
}
