/** A colour on a white page and its like on a dark one. */
export interface Colour {
  readonly light: string;
  readonly dark: string;
}

/** Colours of policies, in their order; they differ for most eyes. */
export const COLOURS: readonly Colour[] = [
  { light: "#2458a6", dark: "#7fb0f5" },
  { light: "#c8571b", dark: "#f59a66" },
  { light: "#2d8a57", dark: "#63c48f" },
  { light: "#8a4fa3", dark: "#c79ade" },
  { light: "#b02a4c", dark: "#f0859f" },
  { light: "#7a6a00", dark: "#d1bd3e" },
  { light: "#1e8a99", dark: "#5fc9d8" },
  { light: "#d48c00", dark: "#f2b84b" },
  { light: "#4a3fb5", dark: "#a9a2ff" },
  { light: "#6b6b6b", dark: "#b5b5b5" },
];

/** Signs of policies: together with the colours they tell sixty apart. */
const SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"];

/** Policies after which the same colour would meet the same sign again, if both went on in turn. */
const MET_AGAIN = 30;

/** Orange to blue, which no common colour blindness confuses. */
const HEAT = ["#d9772b", "#f3e7c4", "#2f6fb0"];

/** Above this many per cent the ground is so dark that numbers are white. */
const DARK_GROUND = 82;

/** The same colour and sign for the same policy in all figures of a run. */
export function policyChannels(policies: readonly string[]) {
  const channel = (of: (at: number) => string | undefined) => ({
    field: "policy",
    type: "nominal" as const,
    title: null,
    scale: { domain: policies, range: policies.map((_, at) => of(at) ?? "black") },
  });
  return {
    color: channel((at) => COLOURS[at % COLOURS.length]?.light),
    shape: channel((at) => SHAPES[(at + Math.floor(at / MET_AGAIN)) % SHAPES.length]),
  };
}

/** The colour of a square of a heat map, of a field `value` in per cent. */
export function heatColour(title: string) {
  return {
    field: "value",
    type: "quantitative" as const,
    title,
    scale: { domain: [0, 50, 100], range: HEAT, interpolate: "rgb" as const },
    legend: { values: [0, 25, 50, 75, 100] },
  };
}

/** Numbers on a heat map, of a field `value` in per cent. */
export const HEAT_NUMBERS = {
  mark: { type: "text" as const, fontSize: 10 },
  encoding: {
    text: { field: "value", type: "quantitative" as const, format: ".0f" },
    color: {
      condition: { test: `datum.value > ${DARK_GROUND}`, value: "#ffffff" },
      value: "#1a1a1a",
    },
  },
};
