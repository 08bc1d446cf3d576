/** Values of a stream that has one in each line, as JSON. Both ends are ours. */
export async function* jsonLines<T>(stream: ReadableStream<Uint8Array>): AsyncGenerator<T, void> {
  const decoder = new TextDecoder();
  /** Pieces of a line that is not whole yet. */
  let parts: string[] = [];
  for await (const bytes of stream) {
    const [first = "", ...others] = decoder.decode(bytes, { stream: true }).split("\n");
    parts.push(first);
    for (const next of others) {
      yield JSON.parse(parts.join(""));
      parts = [next];
    }
  }
}
