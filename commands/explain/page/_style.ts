/** The page's style sheet. Shades k0 to k5: no head, quarters of the heads, all heads. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fcfcfa; --panel: #f3f2ee; --ink: #22242a; --soft: #6a6d76; --line: #dcdad3;
  --ground: #e7e5df; --quiet: #b9b6ac; --evicted: #8b8a84;
  --k1: #dcefe9; --k2: #b0ddcf; --k3: #74c3ad; --k4: #36a187; --k5: #0b7a63; --on: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171b; --panel: #1d2026; --ink: #e6e6e3; --soft: #9a9da6; --line: #31353d;
    --ground: #262a31; --quiet: #4d525c; --evicted: #7f838d;
    --k1: #1d3833; --k2: #1f564b; --k3: #237868; --k4: #2fa58d; --k5: #62dcc0; --on: #0d1f1a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 28px; max-width: 1500px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif;
}
h1 { margin: 0; font-size: 24px; font-weight: 650; letter-spacing: -.01em; overflow-wrap: anywhere; }
header p { margin: 4px 0 22px; color: var(--soft); overflow-wrap: anywhere; }
code { font: 13px ui-monospace, "SFMono-Regular", Menlo, monospace; }
.columns { display: grid; gap: 28px; grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); }
.panel { position: sticky; top: 20px; align-self: start; }
.card { padding: 18px; border: 1px solid var(--line); border-radius: 12px; background: var(--panel); }
.sliders { display: grid; gap: 8px; }
.sliders label { display: grid; grid-template-columns: 64px 1fr 36px; align-items: center; gap: 10px; }
input[type="range"] { width: 100%; margin: 0; accent-color: var(--k5); }
output { text-align: right; font-variant-numeric: tabular-nums; font-weight: 650; }
#kept { margin: 12px 0 14px; min-height: 1.5em; }
#picture { display: block; width: 100%; height: 320px; cursor: crosshair; }
.hint { margin: 10px 0 0; color: var(--soft); font-size: 13px; }
.legend { display: flex; flex-wrap: wrap; align-items: center; gap: 6px; margin: 0 0 14px; font-size: 13px; }
.legend > span { padding: 1px 8px; border-radius: 4px; border: 1px solid transparent; }
.legend > .k0 { border-color: var(--line); }
.legend label { margin-left: auto; }
.single .legend .some { display: none; }
#text {
  padding: 22px; border: 1px solid var(--line); border-radius: 12px; outline-offset: 3px;
  font: 15px/1.75 Charter, Georgia, "Liberation Serif", serif;
  white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate;
}
.block { content-visibility: auto; contain-intrinsic-size: auto 600px; display: block; }
.k0 { color: var(--evicted); }
.k1 { background: var(--k1); } .k2 { background: var(--k2); }
.k3 { background: var(--k3); color: #10201c; }
.k4 { background: var(--k4); color: #061410; }
.k5 { background: var(--k5); color: var(--on); }
@media (prefers-color-scheme: dark) { .k3 { color: #f2fffb; } }
.fold .k0 { font-size: 0; }
.fold .block > :not(.k0) + .k0::before, .fold .block > .k0:first-child::before {
  content: " … "; font-size: 15px;
}
.current { outline: 2px solid var(--ink); outline-offset: 0; border-radius: 2px; }
#tip {
  position: fixed; z-index: 9; max-width: 420px; padding: 8px 12px; border-radius: 8px;
  background: var(--ink); color: var(--paper); font-size: 13px; pointer-events: none;
  box-shadow: 0 6px 24px #0004; overflow-wrap: anywhere;
}
:focus-visible { outline: 2px solid var(--k4); }
@media (max-width: 1000px) {
  body { padding: 16px; }
  .columns { grid-template-columns: minmax(0, 1fr); }
  .panel { position: static; }
}
`;
