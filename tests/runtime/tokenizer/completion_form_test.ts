import { assertEquals, assertThrows } from "@std/assert";
import { completionForm, conversationIds } from "../../../runtime/tokenizer/completion_form.ts";
import { PromptError } from "../../../runtime/errors.ts";
import { wordTokenizer } from "../../_word_tokenizer.ts";

Deno.test("completionForm() opens with a system message as it stands", () => {
  const messages = [
    { role: "system", content: "Be brief.\n" },
    { role: "user", content: " Why?\n" },
  ];
  assertEquals(completionForm(messages), "Be brief.\n\nQuestion: Why?\nAnswer:");
});

Deno.test("completionForm() of a conversation that an answer ends asks nothing more", () => {
  const messages = [{ role: "user", content: "1?" }, { role: "assistant", content: " 2 " }];
  assertEquals(completionForm(messages), "Question: 1?\nAnswer: 2");
  assertThrows(() => completionForm([]), PromptError, "without messages");
});

Deno.test("conversationIds() renders the template where there is one, and reads text otherwise", () => {
  const words = wordTokenizer(100);
  const messages = [{ role: "user", content: "5 6" }];
  assertEquals(conversationIds(messages, words), [5, 6]);
  const encoded: [string, object | undefined][] = [];
  const base = {
    ...words,
    hasChatTemplate: false,
    encode: (text: string, options?: object) => (encoded.push([text, options]), [7]),
  };
  assertEquals(conversationIds(messages, base), [7]);
  assertEquals(encoded, [["Question: 5 6\nAnswer:", { special: false }]]);
});
