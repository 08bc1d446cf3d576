import { assertEquals } from "@std/assert";
import {
  formatModelReference,
  parseModelReference,
} from "../../../runtime/models/model_reference.ts";

Deno.test("parseModelReference() reads repository, revision and file", () => {
  const repository = "Qwen/Qwen2.5-0.5B";
  assertEquals(parseModelReference(repository), { repository, revision: "main" });
  assertEquals(parseModelReference(`${repository}@refs/pr/1`), {
    repository,
    revision: "refs/pr/1",
  });
  assertEquals(parseModelReference(`${repository}:sub/a b.Q4_1.gguf`), {
    repository,
    revision: "main",
    file: "sub/a b.Q4_1.gguf",
  });
});

Deno.test("parseModelReference() refuses what is no address or leads out of a folder", () => {
  const bad = ["", "name", "a/b/c", "../b", "a/..", "a/b@../../x", "a/b:../x.gguf", "a/b:x.bin"];
  for (const text of [...bad, "a/b:/etc/x.gguf", "a/b:", "a/b@", "http://a/b", "a b/c"]) {
    assertEquals(parseModelReference(text), undefined, text);
  }
});

Deno.test("formatModelReference() is read back the same", () => {
  for (const text of ["a/b@main", "a/b@v1:x.gguf"]) {
    const reference = parseModelReference(text);
    assertEquals(reference && formatModelReference(reference), text);
  }
});
