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
    // Every policy is named, however many there are.
    legend: { ...FIGURE_STYLE.config.legend, labelLimit: 320, symbolOpacity: 1, symbolLimit: 1000 },
    axis: { ...FIGURE_STYLE.config.axis, titleFontWeight: "normal" as const },
    concat: { spacing: 26 },
  },
};

/** The font of all text, named once. */
const FONT = ` font-family="${FIGURE_STYLE.config.font}"`;

/** Attributes that say what holds without them, and marks that show nothing. */
const IDLE = [
  / (?:aria-hidden="true"|role="graphics-[a-z]+"|aria-roledescription="[^"<>]*"|pointer-events="none"|opacity="1")(?=[^<>]*>)/g,
  new RegExp(`${FONT}(?=[^<>]*>)`, "g"),
  /<path class="(?:background|foreground)" d="[^"]*"(?: display="none")?\/>/g,
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
    .replace(/(?<==")rgb\((\d+), (\d+), (\d+)\)(?=")/g, hexadecimal)
    .replace("<svg ", `<svg${FONT} role="img" aria-label="${escapeMarkup(description)}" `);
}

/** Hundredths of a point show to nobody. */
function rounded(attribute: string): string {
  return attribute.replace(/-?\d+\.\d{3,}/g, (digits) => String(Number(Number(digits).toFixed(2))));
}

function hexadecimal(_: string, ...channels: readonly string[]): string {
  const digits = channels.slice(0, 3).map((one) => Number(one).toString(16).padStart(2, "0"));
  return `#${digits.join("")}`;
}
