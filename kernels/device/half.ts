import { type Attribute, ELEMENT_TYPE, type GraphBuilder, type Value } from "../onnx/graph.ts";

/** Numbers of the `to` attribute of Cast. */
const { float32, float16 } = ELEMENT_TYPE;

/**
 * A view of a builder through which nodes that were written for 32-bit floats compute with 16-bit
 * ones: constants and weights become 16-bit, and so does what is cast to 32 bits.
 *
 * Inputs of 32-bit floats stay so and are cast once, behind the input: nodes that name them are given
 * the 16-bit value. Outputs are declared as they are told. What must stay 32-bit, such as sums and
 * positions, goes through the plain builder.
 */
export function inHalf(builder: GraphBuilder): GraphBuilder {
  return halved(builder, new Map());
}

function halved(plain: GraphBuilder, inputs: Map<Value, Value>): GraphBuilder {
  const toHalf = (value: Value): Value =>
    plain.op("Cast", [value], { attributes: { to: { int: float16 } } });
  const known = (values: readonly Value[]) => values.map((value) => inputs.get(value) ?? value);
  const half: GraphBuilder = {
    ...plain,
    input(name, type, shape) {
      const value = plain.input(name, type, shape);
      if (type !== "float32") return value;
      const cast = toHalf(value);
      inputs.set(name, cast);
      return cast;
    },
    constant: (data, shape) =>
      plain.constant(data instanceof Float32Array ? new Float16Array(data) : data, shape),
    external(type, shape, place) {
      const value = plain.external(type, shape, place);
      return type === "float32" ? toHalf(value) : value;
    },
    op(operator, values, options) {
      const [value = ""] = half.ops(operator, values, 1, options);
      return value;
    },
    ops(operator, values, count, options = {}) {
      const attributes = operator === "Cast" ? castToHalf(options.attributes) : options.attributes;
      return plain.ops(operator, known(values), count, {
        ...options,
        ...(attributes ? { attributes } : {}),
      });
    },
    branch: (name) => halved(plain.branch(name), inputs),
  };
  return half;
}

function castToHalf(attributes: Readonly<Record<string, Attribute>> = {}) {
  const { to } = attributes;
  const toFloats = to !== undefined && "int" in to && to.int === float32;
  return toFloats ? { ...attributes, to: { int: float16 } } : attributes;
}
