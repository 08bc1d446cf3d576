import type { TokenizerSource } from "../checkpoint/checkpoint.ts";
import { CheckpointError, KvjudgeError, PromptError } from "../errors.ts";
import { type ChatTemplate, compileChatTemplate } from "./chat_template.ts";
import { createEncoder } from "./encoder.ts";
import { readGgufTokenizer } from "./gguf_tokenizer.ts";
import { type GuardedText, plainText } from "./guarded_text.ts";
import { readJsonTokenizer } from "./json_tokenizer.ts";
import { libraryModel } from "./library_model.ts";
import { markControlTokens } from "./mark_control_tokens.ts";
import { scoredModel } from "./scored_model.ts";
import { bytesOf, createTextStream, type Vocabulary } from "./text_stream.ts";
import { readDecoder } from "./token_bytes.ts";
import type { ChatMessage, ChatTemplateOptions, Tokenizer } from "./tokenizer.ts";
import type {
  AddedToken,
  TokenizerFiles,
  TokenizerJson,
  TokenizerSettings,
} from "./tokenizer_files.ts";
import type { VocabularyModel } from "./vocabulary_model.ts";
import { demandText, kindOfGiven } from "../given.ts";
import { demandMessages } from "./given_messages.ts";

/** Options of {@linkcode createTokenizer}. */
export interface TokenizerOptions {
  /** The time that chat templates print. @default {() => new Date()} */
  readonly now?: () => Date;
  /**
   * Control tokens in messages and plain text become their ids, as the caller writes them. Whoever
   * writes those can forge turns. @default {false}
   */
  readonly allowControlTokens?: boolean;
}

/**
 * Makes the tokenizer of a checkpoint.
 *
 * @throws {CheckpointError} If the checkpoint has no tokenizer, or one that is unsupported or
 * damaged.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const tokenizer = createTokenizer({
 *   kind: "json",
 *   tokenizer: {
 *     model: { type: "BPE", vocab: { h: 0, i: 1, hi: 2 }, merges: ["h i"] },
 *     pre_tokenizer: { type: "ByteLevel", add_prefix_space: false },
 *     decoder: { type: "ByteLevel" },
 *   },
 *   config: {},
 * });
 * assertEquals(tokenizer.encode("hihi"), [2, 2]);
 * assertEquals(tokenizer.decode([2, 1]), "hii");
 * ```
 */
export function createTokenizer(
  source: TokenizerSource,
  { now = () => new Date(), allowControlTokens = false }: TokenizerOptions = {},
): Tokenizer {
  const { tokenizer, settings, pieces } = readFiles(source);
  const model = pieces ? scoredModel(pieces) : guarded(() => libraryModel(tokenizer));
  const vocabulary = readVocabulary(model, tokenizer);
  const { bosId } = settings;

  let template: ChatTemplate | undefined;
  const render: ChatTemplate = (...given) => {
    if (settings.chatTemplate === undefined) {
      throw new PromptError(
        "Cannot format messages: the checkpoint has no chat template; give the prompt as raw text",
      );
    }
    template ??= compileChatTemplate(settings.chatTemplate, settings.tokens, now);
    return template(...given);
  };
  const controls = tokenizer.added_tokens.filter((token) => isControl(token, settings));
  const controlIds = new Set(controls.map(({ id }) => id));
  const encoder = guarded(() => createEncoder(model, tokenizer.added_tokens, controlIds));
  const ids = (text: GuardedText) => guarded(() => encoder(text));
  const renderChat = (
    messages: readonly ChatMessage[],
    options: ChatTemplateOptions = {},
  ): GuardedText => {
    demandMessages("write out messages", messages);
    if (allowControlTokens) return { text: render(messages, options), guards: [] };
    const texts = controls.map(({ content }) => content);
    const { mark, unmark } = markControlTokens(texts, [messages, options.variables]);
    return unmark(render(messages, options, mark));
  };

  return {
    vocabulary: model.size,
    ...(bosId === undefined ? {} : { bosId }),
    eosIds: endIds(model, settings),
    hasChatTemplate: settings.chatTemplate !== undefined,
    encode(text, { special = allowControlTokens, bos = settings.addBos } = {}) {
      if (typeof text !== "object" || text === null) demandText("encode", "what is encoded", text);
      const plain = (said: string) => special ? { text: said, guards: [] } : plainText(said);
      const encoded = ids(typeof text === "string" ? plain(text) : text);
      return bos && bosId !== undefined && encoded[0] !== bosId ? [bosId, ...encoded] : encoded;
    },
    decode(tokens, { skipSpecial = false } = {}) {
      if (typeof tokens?.[Symbol.iterator] !== "function") {
        throw new PromptError(
          `Cannot decode: token ids must be an array of them, got ${kindOfGiven(tokens)}`,
        );
      }
      const stream = createTextStream(vocabulary, skipSpecial);
      let text = "";
      for (const id of tokens) text += stream.push(id);
      return text + stream.close();
    },
    tokenBytes(id) {
      const token = controlIds.has(id) ? undefined : vocabulary.token(id);
      return token === undefined ? NO_BYTES : bytesOf(vocabulary, token);
    },
    stream: ({ skipSpecial = false, ...before } = {}) =>
      createTextStream(vocabulary, skipSpecial, before),
    applyChatTemplate: (messages, options) => render(messages, options),
    renderChat,
    encodeChat: (messages, options) => ids(renderChat(messages, options)),
  };
}

const NO_BYTES = new Uint8Array();

function readFiles(source: TokenizerSource): TokenizerFiles {
  if (source.kind === "json") return readJsonTokenizer(source.tokenizer, source.config);
  if (source.kind === "gguf") return readGgufTokenizer(source.metadata);
  throw new CheckpointError(
    `Cannot read text: the checkpoint has no tokenizer (${source.reason}); ` +
      "give the prompt as token ids",
  );
}

/** What the library throws over a damaged tokenizer comes at any time, not only on opening. */
function guarded<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof KvjudgeError) throw error;
    throw new CheckpointError(
      `Cannot read the tokenizer: ${error instanceof Error ? error.message : error}; ` +
        "fetch the checkpoint again or give the prompt as token ids",
      { cause: error },
    );
  }
}

function readVocabulary(model: VocabularyModel, tokenizer: TokenizerJson): Vocabulary {
  const decoder = readDecoder(tokenizer.decoder);
  const added = tokenizer.added_tokens;
  // Where spaces are written as marks, words that were added are written so, too.
  const verbatim = added.filter(({ special }) => special || decoder.byteLevel);
  return {
    ...decoder,
    token: (id) => model.token(id),
    verbatim: new Set(verbatim.map(({ content }) => content)),
    special: new Set(added.filter(({ special }) => special).map(({ id }) => id)),
  };
}

/** Control tokens that close a turn. They end a generation if the template writes them. */
const TURN_ENDS = ["<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>"];

function endIds(
  model: VocabularyModel,
  { endIds, chatTemplate = "" }: TokenizerSettings,
): number[] {
  const turns = TURN_ENDS
    .filter((text) => chatTemplate.includes(text))
    .map((text) => model.id(text))
    .filter((id) => id !== undefined);
  return [...new Set([...endIds, ...turns])];
}

/** A token that makes turns, and no text. Some checkpoints do not flag all of theirs. */
function isControl({ id, content, special }: AddedToken, settings: TokenizerSettings): boolean {
  return special || id === settings.bosId || settings.endIds.includes(id) ||
    TURN_MARKS.includes(content) || /^<[|｜].*[|｜]>$/.test(content);
}

/** Control tokens without a form that tells them from words. */
const TURN_MARKS = [...TURN_ENDS, "<start_of_turn>"];
