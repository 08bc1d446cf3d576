import type { Tokenizer } from "../runtime/tokenizer/tokenizer.ts";

/** Token `5` is the text ` 5`; chats are their contents, put together. Nothing ends a text. */
export function wordTokenizer(vocabulary: number, eosIds: readonly number[] = []): Tokenizer {
  const encode: Tokenizer["encode"] = (text) =>
    (typeof text === "string" ? text : text.text).split(/\s+/).filter((word) => word !== "").map(
      Number,
    );
  const decode = (ids: Iterable<number>) => [...ids].map((id) => ` ${id}`).join("");
  const render: Tokenizer["applyChatTemplate"] = (messages) =>
    messages.map(({ content }) => content).join(" ");
  return {
    vocabulary,
    eosIds,
    hasChatTemplate: true,
    encode,
    tokenBytes: (id) => new TextEncoder().encode(` ${id}`),
    decode,
    stream: () => ({ push: (id) => ` ${id}`, flush: () => "" }),
    applyChatTemplate: render,
    renderChat: (messages) => ({ text: render(messages), guards: [] }),
    encodeChat: (messages) => encode(render(messages)),
  };
}
