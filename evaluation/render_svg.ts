import type { TopLevelSpec } from "npm:vega-lite@6.5.0";

/** What all figures share. */
export const FIGURE_STYLE = {
  background: "white",
  padding: 12,
  config: {
    font: "sans-serif",
    axis: { grid: true, gridColor: "#e6e6e6", labelFontSize: 11, titleFontSize: 12 },
    legend: { labelFontSize: 11, orient: "right" },
    view: { stroke: "#bbbbbb" },
  },
} as const;

/** Draws a figure as the text of an SVG file. */
export async function renderSvg(specification: TopLevelSpec): Promise<string> {
  // Loaded only here: nothing else needs the library.
  const [{ parse, View }, { compile }] = await Promise.all([
    import("npm:vega@6.4.0"),
    import("npm:vega-lite@6.5.0"),
  ]);
  const view = new View(parse(compile(specification).spec), { renderer: "none" });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
