import type { GuardedText } from "./guarded_text.ts";

/** One turn of a conversation. */
export interface ChatMessage {
  /** Usually `system`, `user` or `assistant`; the checkpoint's template decides. */
  readonly role: string;
  /** What is said in this turn. */
  readonly content: string;
  /** Functions that an assistant's turn calls. */
  readonly toolCalls?: readonly ToolCall[];
  /** The call that a tool's turn answers. */
  readonly toolCallId?: string;
  /** Name of the tool that answers, or of who speaks. */
  readonly name?: string;
}

/** A call of a function. */
export interface ToolCall {
  /** What the answer of the tool refers to. */
  readonly id: string;
  /** The function's. */
  readonly name: string;
  /** JSON. */
  readonly arguments: string;
}

/** Options of {@linkcode Tokenizer.encode}. */
export interface EncodeOptions {
  /**
   * Control tokens written in a text, such as `<|im_end|>`, become their ids. Only for texts of one's
   * own: in a stranger's document they would end a turn and forge the next.
   *
   * @default {false}
   */
  readonly special?: boolean;
  /** Open with the BOS token. Default: as the checkpoint says. It is never doubled. */
  readonly bos?: boolean;
}

/** Options of {@linkcode Tokenizer.applyChatTemplate}. */
export interface ChatTemplateOptions {
  /** End with the opening of the assistant's turn. @default {true} */
  readonly addGenerationPrompt?: boolean;
  /** Further variables that the template reads, such as `enable_thinking` or `tools`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** Options of {@linkcode Tokenizer.decode}. */
export interface DecodeOptions {
  /** Leave control tokens out of the text. @default {false} */
  readonly skipSpecial?: boolean;
}

/** Options of {@linkcode Tokenizer.stream}. */
export interface StreamOptions extends DecodeOptions {
  /** Tokens before the first one: a character that they have begun is completed. @default {none} */
  readonly after?: readonly number[];
  /** The text goes on: no space at its start is dropped. @default {false} */
  readonly goesOn?: boolean;
}

/** Text that grows token by token. */
export interface TextStream {
  /**
   * Takes the next token and returns the text that has become final: never half a character, so the
   * result is empty while a character is still split over tokens.
   */
  push(id: number): string;
  /** Ends the text. A character whose bytes never became complete is dropped. */
  flush(): string;
}

/** Turns text into token ids and back, and messages into a prompt. */
export interface Tokenizer {
  /** Number of tokens: every id is below it. */
  readonly vocabulary: number;
  /** The token that opens a text, if there is one. */
  readonly bosId?: number;
  /** Ids that end a generation. */
  readonly eosIds: readonly number[];
  /** Whether messages can be given. */
  readonly hasChatTemplate: boolean;
  /**
   * Text to ids, with the BOS token where the checkpoint wants one and the text has none. In a rendered
   * chat, control tokens are read where the template wrote them; `special` decides for plain text.
   */
  encode(text: string | GuardedText, options?: EncodeOptions): number[];
  /**
   * Ids to text. Ids without a token (padding of the output matrix) give no text.
   *
   * @throws {PromptError} If an id is not a non-negative integer.
   */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  /** The bytes of a token; none for control tokens and for ids without a token. */
  tokenBytes(id: number): Uint8Array;
  /**
   * Decodes token by token. The pieces add up to what {@linkcode decode} returns, less a character
   * that is incomplete at the end.
   */
  stream(options?: StreamOptions): TextStream;
  /**
   * Renders messages with the checkpoint's chat template.
   *
   * @throws {PromptError} If there is no template, no message, or the template refuses them.
   */
  applyChatTemplate(messages: readonly ChatMessage[], options?: ChatTemplateOptions): string;
  /**
   * Renders messages and tells what in it is a user's, so that {@linkcode encode} reads no control
   * tokens there.
   *
   * @throws {PromptError} As {@linkcode applyChatTemplate}.
   */
  renderChat(messages: readonly ChatMessage[], options?: ChatTemplateOptions): GuardedText;
  /**
   * The ids of the rendered messages. The template alone decides about the BOS token, and only what it
   * writes itself is a control token: `<|im_end|>` in a message is text.
   *
   * @throws {PromptError} As {@linkcode applyChatTemplate}.
   */
  encodeChat(messages: readonly ChatMessage[], options?: ChatTemplateOptions): number[];
}
