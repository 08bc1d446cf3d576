import { type LayerShape, type ModelFile, OptionError } from "./policy.ts";

/** What a tensor of a file holds for each KV head. */
export interface HeadRowsWanted {
  /** Name of the tensor, `[layers, KV heads or query heads, numbers]`. */
  readonly name: string;
  /** Whether there is a row for each query head, in place of one for each KV head. @default {false} */
  readonly perQueryHead?: boolean;
  /** Numbers of a row, for a head size. */
  readonly width: (headDim: number) => number;
  /** Command that makes the file. */
  readonly make: string;
}

/** Rows of the KV heads that are shown of a layer, one behind the other. */
export type HeadRows = (layer: LayerShape) => Float32Array;

/**
 * Finds the rows of KV heads in a file that was made for the model.
 *
 * @throws {OptionError} If the tensor is missing or has another shape; when a layer is shown, if it is not
 * of the model's.
 */
export function headRows({ kind, tensors }: ModelFile, wanted: HeadRowsWanted): HeadRows {
  const { name, perQueryHead = false, width, make } = wanted;
  const tensor = tensors[name];
  const refuse = (what: string) =>
    new OptionError(
      `Cannot use the file of policy '${kind}': its tensor "${name}" ${what}; make one with \`${make}\``,
    );
  if (!tensor) throw refuse("is missing");
  const [layers = 0, heads = 0, numbers = 0] = tensor.shape;
  const shape = `[${tensor.shape.join(", ")}]`;
  if (tensor.shape.length !== 3) throw refuse(`must be [layers, heads, numbers], it is ${shape}`);
  return (layer) => {
    const group = perQueryHead ? layer.heads / layer.kvHeads : 1;
    const [from, count] = [layer.firstHead * group, layer.kvHeads * group];
    const fits = layers === layer.layers && from + count <= heads &&
      numbers === width(layer.headDim);
    if (!fits) {
      throw refuse(
        `is ${shape}, and the model has ${layer.layers} layers that can be evicted, of heads of size ` +
          layer.headDim,
      );
    }
    const start = (layer.layer * heads + from) * numbers;
    return tensor.data.subarray(start, start + count * numbers);
  };
}
