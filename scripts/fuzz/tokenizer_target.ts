import { readTokenizerSource } from "../../runtime/checkpoint/tokenizer_source.ts";
import { fixture } from "./checkpoint_targets.ts";
import { JSON_MUTATIONS } from "./mutate_json.ts";
import type { FuzzTarget, Mutation, Sample } from "./target.ts";
import { useTokenizer } from "./use_checkpoint.ts";

const TEMPLATE =
  "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{{ bos_token }}[assistant]";

/** Templates that do not end soon, or not well. */
const template: Mutation = (whole, draw) =>
  new TextEncoder().encode(
    new TextDecoder().decode(whole).replace(JSON.stringify(TEMPLATE), () =>
      JSON.stringify(draw.pick([
        "{% for i in range(100000000) %}x{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
        "{% for i in range(0, 10, 0) %}x{% endfor %}",
        "{{ messages[99].content }}",
        "{{ raise_exception('no') }}",
        "{{ messages.__proto__.constructor }}",
        "{% for m in messages %}",
        "{{ ".repeat(5000),
        "(".repeat(20000),
        `{{ ${"(".repeat(20000)}1${")".repeat(20000)} }}`,
        `{{ ${"not ".repeat(20000)}1 }}`,
        "{{ 'a' * 1000000000 }}",
        "{{ strftime_now(1) }}",
      ]))),
  );

/** The tokenizer's files of a Hugging Face folder, byte-level and SentencePiece. */
export const tokenizer: FuzzTarget = {
  name: "tokenizer.json",
  mutations: [...JSON_MUTATIONS, template],
  async prepare(folder) {
    const read = (name: string) => Deno.readTextFile(fixture(`tokenizers/${name}.json`));
    const { tokenizer: sentencePiece } = JSON.parse(await read("gemma_tokenizer"));
    const texts = [await read("byte_level"), JSON.stringify(sentencePiece)];
    const samples = await Promise.all(texts.map(async (text, index) => {
      const place = `${folder}/${index}`;
      await Deno.mkdir(place);
      await Deno.writeTextFile(`${place}/tokenizer.json`, text);
      const settings = {
        bos_token: { content: "<s>" },
        eos_token: "</s>",
        add_bos_token: true,
        chat_template: TEMPLATE,
      };
      await Deno.writeTextFile(`${place}/tokenizer_config.json`, JSON.stringify(settings));
      return ["tokenizer.json", "tokenizer.json", "tokenizer_config.json"].map((name): Sample => ({
        path: `${place}/${name}`,
        bytes: Deno.readFileSync(`${place}/${name}`),
        open: async () => await useTokenizer(readTokenizerSource(place)),
      }));
    }));
    const [first, ...others] = samples.flat();
    if (!first) throw new Error("There are no tokenizers");
    return [first, ...others];
  },
};
