import { BinaryWriter, WireType } from "npm:@bufbuild/protobuf@2.17.0/wire";
import { type Attribute, ELEMENT_TYPE, type Graph, type Initializer, type Port } from "./graph.ts";

// Field numbers are those of onnx.proto3 (https://github.com/onnx/onnx), IR version 10.
const IR_VERSION = 10;
const OPSETS = { "": 21, "com.microsoft": 1 };
const EXTERNAL = 1;
const ATTRIBUTE_TYPE = { float: 1, int: 2, text: 3, graph: 5, ints: 7 };

function message(write: (writer: BinaryWriter) => void): Uint8Array {
  const writer = new BinaryWriter();
  write(writer);
  return writer.finish();
}

function bytes(writer: BinaryWriter, field: number, value: Uint8Array): void {
  writer.tag(field, WireType.LengthDelimited).bytes(value);
}

function text(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value);
}

function integer(writer: BinaryWriter, field: number, value: number): void {
  writer.tag(field, WireType.Varint).int64(value);
}

function encodeAttribute(name: string, attribute: Attribute): Uint8Array {
  return message((writer) => {
    text(writer, 1, name);
    if ("float" in attribute) {
      writer.tag(2, WireType.Bit32).float(attribute.float);
      integer(writer, 20, ATTRIBUTE_TYPE.float);
    } else if ("int" in attribute) {
      integer(writer, 3, attribute.int);
      integer(writer, 20, ATTRIBUTE_TYPE.int);
    } else if ("text" in attribute) {
      text(writer, 4, attribute.text);
      integer(writer, 20, ATTRIBUTE_TYPE.text);
    } else if ("graph" in attribute) {
      bytes(writer, 6, encodeGraph(attribute.graph));
      integer(writer, 20, ATTRIBUTE_TYPE.graph);
    } else {
      for (const value of attribute.ints) integer(writer, 8, value);
      integer(writer, 20, ATTRIBUTE_TYPE.ints);
    }
  });
}

function encodeInitializer({ name, type, shape, data }: Initializer): Uint8Array {
  return message((writer) => {
    for (const size of shape) integer(writer, 1, size);
    integer(writer, 2, ELEMENT_TYPE[type]);
    text(writer, 8, name);
    if ("bytes" in data) {
      bytes(writer, 9, data.bytes);
      return;
    }
    const place = { location: data.file, offset: data.offset, length: data.length };
    for (const [key, value] of Object.entries(place)) {
      bytes(
        writer,
        13,
        message((entry) => {
          text(entry, 1, key);
          text(entry, 2, String(value));
        }),
      );
    }
    integer(writer, 14, EXTERNAL);
  });
}

function encodePort({ name, type, shape }: Port): Uint8Array {
  const dimensions = message((writer) => {
    for (const size of shape) {
      const dimension = message((inner) => {
        if (typeof size === "number") integer(inner, 1, size);
        else text(inner, 2, size);
      });
      bytes(writer, 1, dimension);
    }
  });
  const tensorType = message((writer) => {
    integer(writer, 1, ELEMENT_TYPE[type]);
    bytes(writer, 2, dimensions);
  });
  return message((writer) => {
    text(writer, 1, name);
    bytes(writer, 2, message((inner) => bytes(inner, 1, tensorType)));
  });
}

function encodeGraph(graph: Graph): Uint8Array {
  return message((writer) => {
    for (const node of graph.nodes) {
      bytes(
        writer,
        1,
        message((inner) => {
          for (const value of node.inputs) text(inner, 1, value);
          for (const value of node.outputs) text(inner, 2, value);
          text(inner, 4, node.operator);
          for (const [name, attribute] of Object.entries(node.attributes)) {
            bytes(inner, 5, encodeAttribute(name, attribute));
          }
          if (node.domain !== "") text(inner, 7, node.domain);
        }),
      );
    }
    text(writer, 2, graph.name);
    for (const initializer of graph.initializers) bytes(writer, 5, encodeInitializer(initializer));
    for (const port of graph.inputs) bytes(writer, 11, encodePort(port));
    for (const port of graph.outputs) bytes(writer, 12, encodePort(port));
  });
}

/** Serialises a graph as an ONNX model, ready for onnxruntime. */
export function encodeModel(graph: Graph): Uint8Array {
  return message((writer) => {
    integer(writer, 1, IR_VERSION);
    text(writer, 2, "kvjudge");
    bytes(writer, 7, encodeGraph(graph));
    for (const [domain, version] of Object.entries(OPSETS)) {
      bytes(
        writer,
        8,
        message((opset) => {
          text(opset, 1, domain);
          integer(opset, 2, version);
        }),
      );
    }
  });
}
