/** A text as C takes it: UTF-8 with a zero behind it. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}

/** Texts and an array of their addresses, which is right as long as the texts live. */
export interface CStrings {
  readonly texts: readonly Uint8Array<ArrayBuffer>[];
  readonly pointers: BigUint64Array<ArrayBuffer>;
}

/** Several texts as C takes them. */
export function cStrings(list: readonly string[]): CStrings {
  const texts = list.map(cString);
  const pointers = BigUint64Array.from(
    texts,
    (text) => BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(text))),
  );
  return { texts, pointers };
}
