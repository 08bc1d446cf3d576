import { assertEquals } from "@std/assert";
import { promptIds } from "../../runtime/tokenizer/prompt.ts";
import { openTurn } from "../../training/open_turn.ts";
import { chatTokenizer, TEMPLATES } from "../runtime/session/_chat.ts";

const user = (content: string) => ({ role: "user", content });

for (const [name, template] of Object.entries(TEMPLATES)) {
  Deno.test(`openTurn() reads a document as a session does, in the template ${name}`, async () => {
    const tokenizer = await chatTokenizer(template);
    const document = "The ferry leaves at nine. \n";
    const { ids, rest } = openTurn({ messages: [user(document)] }, tokenizer);
    assertEquals(ids, promptIds({ document }, tokenizer));
    assertEquals(rest, []);
  });

  Deno.test(`openTurn() splits what is said later from what is read first, in the template ${name}`, async () => {
    const tokenizer = await chatTokenizer(template);
    const later = "\n\nWhen does the ferry leave?";
    const messages = [user("Hello."), { role: "assistant", content: "Hi." }, user("It is nine.")];
    const { ids, rest } = openTurn({ messages, later }, tokenizer);
    const whole = tokenizer.encodeChat([
      ...messages.slice(0, 2),
      user(`It is nine.${later}`),
    ]);
    assertEquals([...ids, ...rest], whole);
    const other = openTurn({ messages, later: "\n\nIs it late?" }, tokenizer);
    assertEquals(other.ids, ids);
  });
}
