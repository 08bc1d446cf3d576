import { CheckpointError } from "../errors.ts";
import type {
  AddedToken,
  TokenizerFiles,
  TokenizerJson,
  TokenizerSettings,
} from "./tokenizer_files.ts";

/**
 * Checks the contents of `tokenizer.json` and reads `tokenizer_config.json`, which may be missing.
 *
 * @throws {CheckpointError} If they do not have the form of these files.
 */
export function readJsonTokenizer(tokenizer: unknown, config: unknown): TokenizerFiles {
  if (!isRecord(tokenizer) || !isRecord(tokenizer.model)) {
    throw new CheckpointError(
      "Cannot read the tokenizer: tokenizer.json has no model; fetch the checkpoint again " +
        "or give the prompt as token ids",
    );
  }
  const added: unknown = tokenizer.added_tokens ?? [];
  if (!Array.isArray(added) || !added.every(isAddedToken)) {
    throw new CheckpointError(
      "Cannot read the tokenizer: added_tokens in tokenizer.json must be a list of tokens with an " +
        "id and a content; fetch the checkpoint again",
    );
  }
  const json: TokenizerJson = {
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    ...tokenizer,
    added_tokens: added,
    model: tokenizer.model,
  };
  return { tokenizer: json, settings: readSettings(json, isRecord(config) ? config : {}) };
}

function isAddedToken(token: unknown): token is AddedToken {
  return isRecord(token) && typeof token.content === "string" &&
    Number.isSafeInteger(token.id) && Number(token.id) >= 0;
}

type Json = Readonly<Record<string, unknown>>;

function readSettings(tokenizer: TokenizerJson, config: Json): TokenizerSettings {
  const tokens = Object.fromEntries(
    Object.entries(config).flatMap(([name, value]): [string, string][] => {
      const text = isRecord(value) ? value.content : value;
      return name.endsWith("_token") && typeof text === "string" ? [[name, text]] : [];
    }),
  );
  const opening = openingToken(tokenizer.post_processor);
  const bos = tokens.bos_token ?? opening;
  const bosId = bos === undefined ? undefined : tokenId(tokenizer, bos);
  const eosId = tokens.eos_token === undefined ? undefined : tokenId(tokenizer, tokens.eos_token);
  const chatTemplate = readTemplate(config.chat_template);
  return {
    tokens: bos === undefined ? tokens : { ...tokens, bos_token: bos },
    ...(bosId === undefined ? {} : { bosId }),
    endIds: eosId === undefined ? [] : [eosId],
    addBos: typeof config.add_bos_token === "boolean"
      ? config.add_bos_token
      : opening !== undefined && opening === bos,
    ...(chatTemplate === undefined ? {} : { chatTemplate }),
  };
}

/** The control token that the post-processor puts before a text. */
function openingToken(processor: unknown): string | undefined {
  if (!isRecord(processor)) return undefined;
  if (Array.isArray(processor.processors)) {
    return processor.processors.map(openingToken).find((token) => token !== undefined);
  }
  const first = Array.isArray(processor.single) ? processor.single[0] : undefined;
  const special = isRecord(first) ? first.SpecialToken : undefined;
  return isRecord(special) && typeof special.id === "string" ? special.id : undefined;
}

function tokenId(tokenizer: TokenizerJson, content: string): number | undefined {
  const added = tokenizer.added_tokens.find((token: AddedToken) => token.content === content);
  if (added !== undefined) return added.id;
  const vocabulary = tokenizer.model.vocab;
  const id = isRecord(vocabulary) ? vocabulary[content] : undefined;
  return typeof id === "number" ? id : undefined;
}

/** A template is text, or a list of named templates of which `default` is for plain chat. */
function readTemplate(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const named = value.filter(isRecord).find(({ name }) => name === "default");
  return typeof named?.template === "string" ? named.template : undefined;
}

function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
