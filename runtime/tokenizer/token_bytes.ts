import { CheckpointError } from "../errors.ts";

/** How tokens become bytes of text. */
export interface TokenBytes {
  /** The UTF-8 bytes that an ordinary token stands for; they may be part of a character. */
  bytes(token: string): Uint8Array;
  /** Tokens are written in GPT-2's alphabet of bytes. */
  readonly byteLevel: boolean;
  /** One space at the start of a text stands for nothing. */
  readonly dropsFirstSpace: boolean;
}

/**
 * Reads the `decoder` of a `tokenizer.json`: byte-level ones, and SentencePiece-like ones with or
 * without byte fallback.
 *
 * @throws {CheckpointError} If the decoder is of another kind.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const { bytes } = readDecoder({ type: "ByteLevel" });
 * assertEquals(bytes("Ġé"), new Uint8Array([0x20, 0xe9]));
 * ```
 */
export function readDecoder(decoder: unknown): TokenBytes {
  const steps = flatten(decoder);
  const types = steps.map(({ type }) => type);
  const unknown = types.find((type) => !KNOWN.has(type));
  if (unknown !== undefined || types.length === 0) {
    throw new CheckpointError(
      `Cannot read the tokenizer: decoder ${unknown ?? "none"} is not supported ` +
        `(supported: ${[...KNOWN].join(", ")}); give the prompt as token ids`,
    );
  }
  if (types.includes("ByteLevel")) {
    return { bytes: byteLevelBytes, byteLevel: true, dropsFirstSpace: false };
  }
  const metaspace = steps.find(({ type }) => type === "Metaspace");
  const strip = steps.find(({ type }) => type === "Strip");
  const space = typeof metaspace?.replacement === "string" ? metaspace.replacement : SPACE;
  const fallback = types.includes("ByteFallback");
  return {
    bytes: (token) => {
      const byte = fallback ? BYTE_TOKEN.exec(token) : null;
      if (byte?.[1] !== undefined) return Uint8Array.of(parseInt(byte[1], 16));
      return encoder.encode(token.replaceAll(space, " "));
    },
    byteLevel: false,
    dropsFirstSpace: metaspace !== undefined || strip?.start === 1,
  };
}

interface DecoderStep {
  readonly type: string;
  readonly replacement?: unknown;
  readonly start?: unknown;
  readonly decoders?: unknown;
}

const KNOWN: ReadonlySet<string> = new Set(
  ["ByteLevel", "ByteFallback", "Metaspace", "Replace", "Fuse", "Strip"],
);
const SPACE = "▁";
const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;
const encoder = new TextEncoder();
const BYTE_OF_CHARACTER = byteOfCharacter();

function flatten(decoder: unknown): DecoderStep[] {
  if (typeof decoder !== "object" || decoder === null || !("type" in decoder)) return [];
  const step = decoder as DecoderStep;
  if (step.type !== "Sequence") return [step];
  return Array.isArray(step.decoders) ? step.decoders.flatMap(flatten) : [];
}

function byteLevelBytes(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = BYTE_OF_CHARACTER.get(character);
    // A token outside the byte alphabet stands for itself.
    if (byte === undefined) return encoder.encode(token);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/**
 * GPT-2's byte alphabet: printable Latin-1 characters stand for their own byte, the other bytes
 * take the characters from U+0100 on.
 */
function byteOfCharacter(): ReadonlyMap<string, number> {
  const map = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 0x100; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
    map.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return map;
}
