import { assert, assertEquals, assertThrows } from "@std/assert";
import { BenchmarkError } from "../../../../evaluation/benchmarks/errors.ts";
import { readHotpotQa } from "../../../../evaluation/benchmarks/ruler/hotpot_qa.ts";
import { questionAnsweringTask } from "../../../../evaluation/benchmarks/ruler/question_answering.ts";
import type { QuestionSet } from "../../../../evaluation/benchmarks/ruler/question_set.ts";
import { readSquad } from "../../../../evaluation/benchmarks/ruler/squad.ts";
import { countWords } from "../_counters.ts";

const SQUAD = {
  data: [
    {
      paragraphs: [
        {
          context: "One is first.",
          qas: [
            { question: "What is first?", answers: [{ text: "One" }, { text: "One" }] },
            { question: "What is last?", answers: [], is_impossible: true },
            { question: "Unanswered?", answers: [] },
          ],
        },
        { context: "Two is second.", qas: [] },
      ],
    },
    {
      paragraphs: [{
        context: "Three is third.",
        qas: [{
          question: "What is third?",
          answers: [{ text: "Three" }, { text: "three" }],
          is_impossible: false,
        }],
      }],
    },
  ],
};

const HOTPOT = [{
  question: "Who?",
  answer: "Ann",
  supporting_facts: [["B", 0], ["C", 1]],
  context: [["A", ["Alone."]], ["B", ["Bob knew ", "Carl."]], ["C", ["", "Carl knew Ann."]]],
}];

Deno.test("readSquad() takes paragraphs as documents and leaves unanswerable questions out", () => {
  assertEquals(readSquad(`\uFEFF${JSON.stringify(SQUAD)}`, "a text"), {
    documents: ["One is first.", "Two is second.", "Three is third."],
    questions: [
      { text: "What is first?", answers: ["One"], required: [0], related: [1] },
      { text: "What is third?", answers: ["Three", "three"], required: [2], related: [] },
    ],
  });
});

Deno.test("readHotpotQa() requires the documents of the supporting facts", () => {
  assertEquals(readHotpotQa(JSON.stringify(HOTPOT), "a text"), {
    documents: ["A\nAlone.", "B\nBob knew Carl.", "C\nCarl knew Ann."],
    questions: [{ text: "Who?", answers: ["Ann"], required: [1, 2], related: [0] }],
  });
});

Deno.test("readHotpotQa() requires all documents where no fact says which", () => {
  const [{ supporting_facts: _, ...rest } = {}] = HOTPOT;
  for (const facts of [undefined, null, [["Z", 0]]]) {
    const text = JSON.stringify([{ ...rest, supporting_facts: facts }]);
    assertEquals(readHotpotQa(text, "a text").questions[0]?.required, [0, 1, 2]);
  }
});

Deno.test("readSquad() says in one sentence what is wrong with a file", () => {
  refuses(readSquad, "{", "it is not JSON");
  refuses(readSquad, "[]", "the file must be an object");
  refuses(readSquad, "{}", '"data" must be an array');
  refuses(readSquad, '{"data": []}', "it has no question with an answer");
  refuses(readSquad, '{"data": [{}]}', '"data[0].paragraphs" must be an array');
  const paragraph = (value: unknown) => JSON.stringify({ data: [{ paragraphs: [value] }] });
  refuses(readSquad, paragraph(3), '"data[0].paragraphs[0]" must be an object');
  refuses(readSquad, paragraph({ context: " ", qas: [] }), 'paragraphs[0].context" must be a text');
  refuses(readSquad, paragraph({ context: "x" }), '"data[0].paragraphs[0].qas" must be an array');
  const qa = (value: unknown) => paragraph({ context: "x", qas: [value] });
  refuses(readSquad, qa({ question: "?" }), 'qas[0].answers" must be an array');
  refuses(readSquad, qa({ question: "?", answers: ["x"] }), 'answers[0]" must be an object');
  refuses(readSquad, qa({ question: "?", answers: [{ text: 1 }] }), 'answers[0].text" must be');
  refuses(readSquad, qa({ answers: [{ text: "x" }] }), 'qas[0].question" must be a text');
});

Deno.test("readHotpotQa() says in one sentence what is wrong with a file", () => {
  refuses(readHotpotQa, "no", "it is not JSON");
  refuses(readHotpotQa, "{}", "the file must be an array");
  refuses(readHotpotQa, "[]", "it has no question");
  refuses(readHotpotQa, "[1]", '"[0]" must be an object');
  const broken = (change: Record<string, unknown>) => JSON.stringify([{ ...HOTPOT[0], ...change }]);
  refuses(readHotpotQa, broken({ question: "" }), '"[0].question" must be a text');
  refuses(readHotpotQa, broken({ answer: null }), '"[0].answer" must be a text');
  refuses(readHotpotQa, broken({ context: "x" }), '"[0].context" must be an array');
  refuses(readHotpotQa, broken({ context: ["x"] }), '"[0].context[0]" must be an array');
  refuses(readHotpotQa, broken({ context: [["T"]] }), '"[0].context[0][1]" must be an array');
  refuses(readHotpotQa, broken({ context: [["T", [1]]] }), '"[0].context[0][1][0]" must be a text');
  refuses(readHotpotQa, broken({ supporting_facts: [3] }), '"[0].supporting_facts[0]" must be an');
  // A question without any document cannot be asked.
  refuses(readHotpotQa, broken({ context: [] }), "it has no question");
});

function refuses(read: (text: string, place: string) => QuestionSet, text: string, why: string) {
  const { message } = assertThrows(() => read(text, "dev.json"), BenchmarkError);
  assert(message.startsWith("Cannot read dev.json as ") && message.includes(why), message);
  assert(message.includes("; give "), message);
}

Deno.test("questionAnsweringTask() passes over questions whose documents are too long", () => {
  const long = "word ".repeat(500).trim();
  const set: QuestionSet = {
    documents: [long, "Short is short.", "Other text that stands here."],
    questions: [
      { text: "Long?", answers: ["word"], required: [0], related: [] },
      { text: "Short?", answers: ["short"], required: [1], related: [] },
    ],
  };
  const task = questionAnsweringTask("qa_1", "", set);
  const samples = [
    ...task.generate({ tokens: 300, samples: 4, seed: 0, countTokens: countWords }),
  ];
  assert(samples.every(({ question }) => question.endsWith("Question: Short?")));
  assertThrows(
    () => [
      ...questionAnsweringTask("qa_1", "", { ...set, questions: set.questions.slice(0, 1) })
        .generate({ tokens: 300, samples: 1, seed: 0, countTokens: countWords }),
    ],
    BenchmarkError,
    "the shortest question takes 550 with its documents; ask for at least 612 tokens",
  );
});

Deno.test("questionAnsweringTask() takes related documents before others, the required one once", () => {
  const document = (name: string) => `${name} ${"word ".repeat(30)}`.trim();
  const set: QuestionSet = {
    documents: [document("Gold"), document("Near"), document("Far"), document("Further")],
    questions: [{ text: "What?", answers: ["Gold"], required: [0], related: [1] }],
  };
  const contexts = (tokens: number) =>
    [
      ...questionAnsweringTask("qa_1", "", set)
        .generate({ tokens, samples: 5, seed: 0, countTokens: countWords }),
    ].map(({ context }) => context);
  for (const context of contexts(110)) {
    assert(context.includes("Near") && !context.includes("Far") && !context.includes("Further"));
  }
  for (const context of contexts(1000)) {
    assertEquals(context.split("Gold").length, 2);
    assert(context.split("Far ").length > 3);
  }
});

Deno.test("questionAnsweringTask() fills up where the question's own documents are all there are", () => {
  const set: QuestionSet = {
    documents: ["Only this is told."],
    questions: [{ text: "What?", answers: ["this"], required: [0], related: [] }],
  };
  const [sample] = questionAnsweringTask("qa_1", "", set)
    .generate({ tokens: 200, samples: 1, seed: 0, countTokens: countWords });
  assert(sample && sample.context.split("Only this is told.").length === 2);
});
