import { CheckpointError } from "../errors.ts";
import type { TokenizerSource } from "./checkpoint.ts";
import { fileExists, readJson, readText } from "./read_json.ts";

/**
 * Reads the tokenizer files of a Hugging Face folder: `tokenizer.json` and `tokenizer_config.json`,
 * with a chat template from `chat_template.jinja` or `chat_template.json` merged in as
 * `chat_template` (that file wins over the config's own, as in transformers).
 *
 * @throws {CheckpointError} If a file is there but damaged.
 */
export function readTokenizerSource(folder: string): TokenizerSource {
  const path = `${folder}/tokenizer.json`;
  if (!fileExists(path)) {
    return { kind: "absent", reason: `${folder} has no tokenizer.json` };
  }
  const tokenizer = readJson(path);
  const configPath = `${folder}/tokenizer_config.json`;
  const config = fileExists(configPath) ? readJson(configPath) : {};
  const template = readChatTemplate(folder);
  return {
    kind: "json",
    tokenizer,
    config: template === undefined ? config : { ...config, chat_template: template },
  };
}

function readChatTemplate(folder: string): unknown {
  const jinja = `${folder}/chat_template.jinja`;
  if (fileExists(jinja)) return readText(jinja);
  const json = `${folder}/chat_template.json`;
  if (!fileExists(json)) return undefined;
  const { chat_template: template } = readJson(json);
  if (typeof template === "string") return template;
  throw new CheckpointError(`Cannot read ${json}: it has no text named "chat_template".`);
}
