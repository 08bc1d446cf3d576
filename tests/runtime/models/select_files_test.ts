import { assertEquals, assertThrows } from "@std/assert";
import { FetchError } from "../../../runtime/errors.ts";
import { selectFiles } from "../../../runtime/models/select_files.ts";

const reference = { repository: "a/b", revision: "main" };
const select = (...paths: string[]) => [...selectFiles(paths, reference)].sort();

Deno.test("selectFiles() takes shards and settings, but no other formats of the weights", () => {
  const wanted = [
    "chat_template.jinja",
    "config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
  ];
  const others = ["README.md", "model.onnx", "original/model.safetensors", "x.gguf", "adapter.bin"];
  assertEquals(select(...wanted, ...others), wanted);
});

Deno.test("selectFiles() takes the only GGUF file of a repository without a checkpoint", () => {
  assertEquals(select("README.md", "tiny.gguf"), ["tiny.gguf"]);
});

Deno.test("selectFiles() names what is missing", () => {
  assertThrows(() => select("README.md"), FetchError, "neither config.json with *.safetensors");
  assertThrows(() => select("model.safetensors"), FetchError, "neither");
  assertThrows(
    () => selectFiles(["a.gguf"], { ...reference, file: "b.gguf" }),
    FetchError,
    "Cannot fetch a/b@main:b.gguf: the repository has no such file; it has a.gguf",
  );
});

Deno.test("selectFiles() never takes a path that leads out of the folder", () => {
  for (const path of ["../x.gguf", "/x.gguf", "a/../../x.gguf", "..\\x.gguf"]) {
    assertThrows(() => select(path), FetchError, "neither");
  }
});
