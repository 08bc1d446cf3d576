import { COLOURS } from "./palette.ts";

/** Figures are drawn for white paper; on a dark page these colours take the place of theirs. */
const DARK_FIGURES = [
  ...COLOURS.flatMap(({ light, dark }) => [
    `figure svg [stroke="${light}"] { stroke: ${dark}; }`,
    `figure svg [fill="${light}"] { fill: ${dark}; }`,
  ]),
  "figure svg > rect { fill: transparent; }",
  "figure svg :is(.role-title, .role-axis, .role-axis-label, .role-axis-title, .role-legend, " +
  ".role-legend-label, .role-legend-title, .role-title-text) text { fill: var(--text); }",
  'figure svg [stroke="#e6e6e6"], figure svg [stroke="#bbbbbb"] { stroke: var(--line); }',
  'figure svg [stroke="#444444"] { stroke: #ccc; }',
].join("\n");

/** Style of a report's page: light and dark, and narrow enough for a telephone. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; --line: #d5d5d5; --page: #fff; --text: #1d1d1f; --soft: #5c5c61; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; background: var(--page); color: var(--text); }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } h3 { font-size: 1rem; }
p { max-width: 44rem; }
thead th { white-space: normal; vertical-align: bottom; min-width: 6rem; }
.table { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: right; white-space: nowrap; }
th:first-child, .words th, .words td { text-align: left; }
tbody th:first-child { position: sticky; left: 0; background: var(--page); font-weight: normal; }
.words td { white-space: normal; overflow-wrap: anywhere; min-width: 12rem; }
details { margin: .6rem 0; } summary { cursor: pointer; }
figure { margin: 1rem 0; overflow-x: auto; }
figure svg { max-width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: .85rem; }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: .4rem; padding: .6rem; }
@media (max-width: 45rem) { figure svg { max-width: none; } }
@media (prefers-color-scheme: dark) {
:root { --line: #444; --page: #18191b; --text: #e8e8e8; --soft: #a5a5ab; }
${DARK_FIGURES}
}
`;
