import type { TokenizerSource } from "../../../runtime/checkpoint/checkpoint.ts";
import { createTokenizer } from "../../../runtime/tokenizer/create_tokenizer.ts";
import type { Generation } from "../../../runtime/session/generate.ts";
import type { Tokenizer } from "../../../runtime/tokenizer/tokenizer.ts";
import { textModel } from "../../commands/_run_cli.ts";
import { fixture, type TestModel, testModel } from "../../_test_model.ts";

/** Templates as models have them, in what they do differently to a conversation. */
export const TEMPLATES = {
  plain:
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}",
  chatMl: "{% for m in messages %}{{ '<im_start>' + m.role + '\n' + m.content + '<|end|>\n' }}" +
    "{% endfor %}{% if add_generation_prompt %}{{ '<im_start>assistant\n' }}{% endif %}",
  trimming:
    "{{ '<|begin|>' }}{% for m in messages %}{{ '(' + m.role + ')\n\n' + m.content | trim + '<|end|>' }}" +
    "{% endfor %}{% if add_generation_prompt %}{{ '(assistant)\n\n' }}{% endif %}",
  /** Thoughts of earlier turns are left out, as in Qwen3. */
  forgetful:
    "{% for m in messages %}{% if m.role == 'assistant' %}[assistant]{{ m.content.split('</think>')[-1] }}<|end|>" +
    "{% else %}[{{ m.role }}]{{ m.content }}<|end|>{% endif %}{% endfor %}" +
    "{% if add_generation_prompt %}[assistant]{% endif %}",
  /** The system message stands in the last turn, as in Mistral's. */
  wandering:
    "{% for m in messages %}{% if m.role == 'user' %}[INST]{% if loop.last %}rules\n\n{% endif %}{{ m.content }}[/INST]" +
    "{% elif m.role == 'assistant' %}{{ m.content }}<|end|>{% endif %}{% endfor %}",
} as const;

/** A byte-level tokenizer with a chat template. */
export async function chatTokenizer(template: string): Promise<Tokenizer> {
  const source: TokenizerSource = {
    kind: "json",
    tokenizer: JSON.parse(await Deno.readTextFile(fixture("tokenizers/byte_level.json"))),
    config: { chat_template: template },
  };
  return createTokenizer(source);
}

/** A random model that reads and writes text, in a folder that vanishes with it. */
export async function chatModel(context = 1024): Promise<TestModel> {
  const home = await Deno.makeTempDir();
  return await testModel(await textModel(home, context), { home });
}

/** Iterates over an answer to its end. */
export async function whole(answer: Generation): Promise<Generation> {
  for await (const _ of answer);
  return answer;
}
