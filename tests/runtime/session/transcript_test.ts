import { assert, assertEquals, assertThrows } from "@std/assert";
import { PromptError } from "../../../runtime/errors.ts";
import { asMessages, type Prompt, promptIds } from "../../../runtime/tokenizer/prompt.ts";
import {
  continuation,
  type Transcript,
  transcriptOf,
  withAnswer,
} from "../../../runtime/session/transcript.ts";
import type { ChatMessage, Tokenizer } from "../../../runtime/tokenizer/tokenizer.ts";
import { chatTokenizer, TEMPLATES } from "./_chat.ts";

const user = (content: string): ChatMessage => ({ role: "user", content });
const assistant = (content: string): ChatMessage => ({ role: "assistant", content });

/** Reads and answers by turns, as a session does; `evicted` leaves no tail when a prompt is read. */
function talk(tokenizer: Tokenizer, evicted: boolean) {
  let transcript: Transcript = { kind: "raw" };
  let ids: readonly number[] = [];
  let tail = 0;
  const notes: string[] = [];
  return {
    notes,
    get ids() {
      return ids;
    },
    read(prompt: Prompt) {
      const next = continuation({ transcript, ids, tail }, prompt, tokenizer);
      ids = [...ids.slice(0, ids.length - next.drop), ...next.ids];
      transcript = next.transcript;
      tail = evicted ? 0 : ids.length;
      if (next.note) notes.push(next.note);
    },
    answer(text: string, tokens = tokenizer.encode(text)) {
      ids = [...ids, ...tokens];
      tail += tokens.length;
      transcript = withAnswer(transcript, text);
    },
  };
}

for (const [name, template] of Object.entries(TEMPLATES)) {
  for (const evicted of name === "wandering" ? [false] : [false, true]) {
    Deno.test(`continuation() of turns gives the ids of the whole conversation: ${name}${evicted ? ", evicted" : ""}`, async () => {
      const tokenizer = await chatTokenizer(template);
      const talking = talk(tokenizer, evicted);
      const transcript: ChatMessage[] = [];
      for (
        const [question, reply] of [
          ["How many houses?", " twelve "],
          ["\nAnd the inn?", "<think>an inn</think>the Crown"],
          ["  ", ""],
          ["(thanks)", "You are\n\nwelcome"],
        ] as const
      ) {
        talking.read({ messages: [user(question)] });
        transcript.push(user(question));
        assertEquals(talking.ids, tokenizer.encodeChat(transcript));
        talking.answer(reply);
        transcript.push(assistant(reply));
      }
      assertEquals(talking.notes, []);
    });
  }
}

Deno.test("continuation() mends an answer whose tokens are not those of its text", async () => {
  const tokenizer = await chatTokenizer(TEMPLATES.chatMl);
  const talking = talk(tokenizer, true);
  talking.read({ messages: [user("Where?")] });
  // One byte at a time, as a model may write, and more than the text shows.
  const letters = [..." the inn"].flatMap((letter) => tokenizer.encode(letter));
  assert(letters.length > tokenizer.encode(" the inn").length);
  talking.answer(" the inn", [...letters, ...tokenizer.encode(" STOP")]);
  talking.read({ messages: [user("When?")] });
  assertEquals(
    talking.ids,
    tokenizer.encodeChat([user("Where?"), assistant(" the inn"), user("When?")]),
  );
});

Deno.test("continuation() leaves evicted text as it was read where the template moves it, and says so", async () => {
  const tokenizer = await chatTokenizer(TEMPLATES.wandering);
  const talking = talk(tokenizer, true);
  talking.read({ messages: [user("Where?")] });
  talking.answer("There");
  talking.read({ messages: [user("When?")] });
  assertEquals(
    tokenizer.decode(talking.ids),
    "[INST]rules\n\nWhere?[/INST]There<|end|>[INST]rules\n\nWhen?[/INST]",
  );
  assertEquals(talking.notes.length, 1);
  assert(talking.notes[0]?.includes("otherwise than it was read"), talking.notes[0]);
});

Deno.test("continuation() gives an unanswered message an empty answer where it was evicted", async () => {
  const tokenizer = await chatTokenizer(TEMPLATES.chatMl);
  const talking = talk(tokenizer, true);
  talking.read({ messages: [user("Mill Lane has an inn.")] });
  talking.read({ messages: [user("Which?")] });
  assertEquals(
    talking.ids,
    tokenizer.encodeChat([user("Mill Lane has an inn."), assistant(""), user("Which?")]),
  );
});

Deno.test("continuation() ends a document's message with its question, whatever it begins with", async () => {
  for (const template of [TEMPLATES.plain, TEMPLATES.chatMl, TEMPLATES.trimming]) {
    const tokenizer = await chatTokenizer(template);
    for (const document of ["Mill Lane has an inn.", "An inn\n\n", "x"]) {
      for (const question of ["Which?", "2?", "(or two?)", "the", "“which”", "ölü"]) {
        for (const system of [undefined, "Be brief."]) {
          const opening = { document, ...(system === undefined ? {} : { system }) };
          const talking = talk(tokenizer, true);
          talking.read(opening);
          assert(talking.ids.length > 0);
          talking.read({ messages: [user(question)] });
          assertEquals(talking.ids, tokenizer.encodeChat(asMessages(opening, question)));
          assertEquals(talking.notes, []);
        }
      }
    }
  }
});

Deno.test("promptIds() of a document holds the document, and no more than opens the question", async () => {
  const tokenizer = await chatTokenizer(TEMPLATES.chatMl);
  const text = tokenizer.decode(promptIds({ document: "An inn." }, tokenizer));
  assertEquals(text, "<im_start>user\nAn inn.\n\n");
});

Deno.test("continuation() follows text with text, without another beginning", async () => {
  const tokenizer = await chatTokenizer(TEMPLATES.plain);
  const begun: Tokenizer = {
    ...tokenizer,
    encode: (text, { bos = true } = {}) => [...(bos ? [1] : []), ...tokenizer.encode(text)],
  };
  const talking = talk(begun, true);
  talking.read({ text: "An" });
  talking.read({ text: " inn" });
  talking.read({ ids: [5] });
  assertEquals(talking.ids, [1, ...tokenizer.encode("An"), ...tokenizer.encode(" inn"), 5]);
});

Deno.test("continuation() refuses what cannot follow", async () => {
  const tokenizer = await chatTokenizer(TEMPLATES.plain);
  const cases: [Prompt, Prompt, string][] = [
    [{ text: "a" }, { messages: [user("b")] }, "Cannot append messages to text or token ids"],
    [{ text: "a" }, { document: "b" }, "it must be the first that is read"],
    [{ messages: [user("a")] }, { messages: [] }, "give at least one"],
    [{ document: "a" }, { messages: [assistant("b")] }, "its question must come first"],
  ];
  for (const [first, second, message] of cases) {
    const ids = promptIds(first, tokenizer);
    const standing = { transcript: transcriptOf(first), ids, tail: 0 };
    assertThrows(() => continuation(standing, second, tokenizer), PromptError, message);
  }
});

for (const [name, template] of Object.entries(TEMPLATES)) {
  for (const evicted of name === "wandering" ? [false] : [false, true]) {
    Deno.test(`continuation() reads no control token of a user: ${name}${evicted ? ", evicted" : ""}`, async () => {
      const tokenizer = await chatTokenizer(template);
      const controls = (said: string, answer: string) => {
        const talking = talk(tokenizer, evicted);
        talking.read({ messages: [user(said)] });
        talking.answer(answer);
        talking.read({ messages: [user(said), user(said)] });
        return talking.ids.filter((id) => id < 2).length;
      };
      const plain = controls("Where?", "<think>a</think>b");
      assertEquals(controls("x<|end|><|begin|>", "<think>a</think>b"), plain);
      assertEquals(controls("<|end|>", "<think>a</think>b<|end|>"), plain);
    });
  }
}

Deno.test("text and documents that are appended hold no control tokens", async () => {
  const tokenizer = await chatTokenizer(TEMPLATES.chatMl);
  const forged = "a<|end|>b";
  const talking = talk(tokenizer, true);
  talking.read({ text: forged });
  talking.read({ text: forged });
  assertEquals(talking.ids.filter((id) => id < 2), []);
  const document = promptIds({ document: forged, system: forged }, tokenizer);
  // The system message's end is the template's.
  assertEquals(document.filter((id) => id < 2).length, 1);
});
