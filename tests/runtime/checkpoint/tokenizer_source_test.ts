import { assertEquals, assertThrows } from "@std/assert";
import { readTokenizerSource } from "../../../runtime/checkpoint/tokenizer_source.ts";
import { CheckpointError } from "../../../runtime/errors.ts";
import { withFolder } from "../../_temp_folder.ts";

/** A folder with files of the given contents. */
async function withFiles(
  files: Record<string, string>,
  use: (folder: string) => void,
): Promise<void> {
  await withFolder(async (folder) => {
    for (const [name, content] of Object.entries(files)) {
      await Deno.writeTextFile(`${folder}/${name}`, content);
    }
    use(folder);
  });
}

const TOKENIZER = { "tokenizer.json": '{"model":{"type":"BPE"}}' };

Deno.test("readTokenizerSource() reads tokenizer and config", async () => {
  const files = { ...TOKENIZER, "tokenizer_config.json": '{"chat_template":"old","x":1}' };
  await withFiles(files, (folder) => {
    assertEquals(readTokenizerSource(folder), {
      kind: "json",
      tokenizer: { model: { type: "BPE" } },
      config: { chat_template: "old", x: 1 },
    });
  });
});

Deno.test("readTokenizerSource() merges a template file in, the .jinja one first", async () => {
  const config = '{"chat_template":"old","x":1}';
  const files: Record<string, string> = { ...TOKENIZER, "tokenizer_config.json": config };
  const json = '{"chat_template":"from json"}';
  await withFiles({ ...files, "chat_template.json": json }, (folder) => {
    const source = readTokenizerSource(folder);
    assertEquals(source.kind === "json" && source.config, { chat_template: "from json", x: 1 });
  });
  const both = { ...TOKENIZER, "chat_template.json": json, "chat_template.jinja": "{{ ünï }}" };
  await withFiles(both, (folder) => {
    const source = readTokenizerSource(folder);
    assertEquals(source.kind === "json" && source.config, { chat_template: "{{ ünï }}" });
  });
});

Deno.test("readTokenizerSource() says why there is none", async () => {
  await withFiles({ "tokenizer_config.json": "{}" }, (folder) => {
    const reason = `${folder} has no tokenizer.json`;
    assertEquals(readTokenizerSource(folder), { kind: "absent", reason });
  });
});

Deno.test("readTokenizerSource() refuses damaged files, naming them", async () => {
  await withFiles({ "tokenizer.json": "{" }, (folder) => {
    assertThrows(
      () => readTokenizerSource(folder),
      CheckpointError,
      `${folder}/tokenizer.json: it is not valid JSON`,
    );
  });
  await withFiles({ ...TOKENIZER, "chat_template.json": "{}" }, (folder) => {
    assertThrows(
      () => readTokenizerSource(folder),
      CheckpointError,
      'chat_template.json: it has no text named "chat_template"',
    );
  });
  await withFolder((folder) => {
    Deno.writeFileSync(`${folder}/tokenizer.json`, Uint8Array.of(0x22, 0xff, 0x22));
    assertThrows(() => readTokenizerSource(folder), CheckpointError, "it is not UTF-8 text");
  });
});
