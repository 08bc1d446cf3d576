import { fields, printable } from "./_table.ts";
import type { ModelConfig } from "../runtime/checkpoint/checkpoint.ts";
import { ranges } from "./_explanation.ts";
import type { ModelInspection } from "../runtime/models/inspect_model.ts";
import type { Holding } from "../runtime/weights/holding.ts";
import { formatBytes } from "./_output.ts";

const HELD: Readonly<Record<Holding, string>> = {
  stored: "as stored",
  widened: "widened to 32 bits, unrounded",
  exact4: "taken over in 4 bits, unrounded",
  exact8: "taken over in 8 bits, unrounded",
  rounded8: "rounded to 8 bits, a scale for 32 columns",
};

/** A checkpoint, as people read it. */
export function showModel(inspection: ModelInspection): string {
  const { source, format, architecture, types, config, text, holdings = [] } = inspection;
  const rows: (readonly [name: string, value: string | undefined])[] = [
    ["architecture", architecture ?? "not stated"],
    ["name", inspection.name],
    [
      "size",
      `${formatBytes(inspection.bytes)}, ${plural(inspection.tensors, "tensor")}, ` +
      `${count(inspection.parameters)} parameters`,
    ],
    ...types.map(({ type, tensors, parameters, bytes, supported }) =>
      [
        type,
        `${plural(tensors, "tensor")}, ${count(parameters)} parameters` +
        (bytes === undefined ? "" : `, ${formatBytes(bytes)}`) +
        (supported ? "" : "; not supported"),
      ] as const
    ),
    ["runs", inspection.runs ? "yes" : `no: ${inspection.reason}`],
  ];
  if (config) {
    const { layers, hidden, heads, kvHeads, headDim, vocabulary, context, ropes } = config;
    rows.push(
      [
        "model",
        `${config.family}, ${plural(layers, "layer")}, size ${hidden}, ${vocabulary} tokens`,
      ],
      ["attention", `${plural(heads, "head")} of ${headDim} over ${plural(kvHeads, "KV head")}`],
      [
        "context",
        `${context} tokens, RoPE scaling ${ropes.map(({ scaling }) => scaling.kind).join(" and ")}`,
      ],
      ...slidingRow(config),
      ["cache", cacheOf(inspection)],
      ["precision", `${inspection.precision} by default`],
      ...holdings.map(({ type, held, tensors }) =>
        [`  ${type}`, `${tensors} ${tensors === 1 ? "matrix" : "matrices"}: ${HELD[held]}`] as const
      ),
      ["text", text.runs ? "yes" : `token ids only: ${text.reason}`],
      ["chat", text.chatTemplate ? "yes" : "no chat template: text is read as it is"],
    );
  }
  const known = rows.flatMap(([name, value]) => value === undefined ? [] : [[name, value]]);
  return `${printable(source)}: a model in ${format === "gguf" ? "GGUF" : "safetensors"}\n` +
    fields(known);
}

function plural(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function count(number: number): string {
  if (number >= 1e9) return `${(number / 1e9).toFixed(2)} billion`;
  return number >= 1e6 ? `${(number / 1e6).toFixed(1)} million` : String(number);
}

/** Which layers slide, if any does. */
function slidingRow({ layerKinds }: Pick<ModelConfig, "layerKinds">): [string, string][] {
  const windows = new Set(layerKinds.flatMap(({ window }) => window ?? []));
  if (windows.size === 0) return [];
  const slide = layerKinds.flatMap(({ window }, layer) => window === undefined ? [] : [layer]);
  return [[
    "slide",
    `${slide.length} of ${layerKinds.length} layers (${ranges(slide)}), window ` +
    [...windows].join(" and "),
  ]];
}

function cacheOf({ cacheBytesPerToken = 0, windowBytes = 0 }: ModelInspection): string {
  const perToken = cacheBytesPerToken > 0 ? [`${formatBytes(cacheBytesPerToken)} per token`] : [];
  const windows = windowBytes > 0 ? [`${formatBytes(windowBytes)} of windows`] : [];
  return [...perToken, ...windows].join(", and ");
}
