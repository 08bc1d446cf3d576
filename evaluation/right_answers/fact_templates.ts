import type { Draw, Split } from "./item.ts";

/** A fact and the question about it. */
export interface Fact {
  readonly statement: string;
  readonly question: string;
  /** A number or a word. */
  readonly answer: string;
}

/** Makes a fact. */
export type FactTemplate = (draw: Draw) => Fact;

/** Names and words of one split. */
interface Words {
  readonly places: readonly [string, ...string[]];
  readonly people: readonly [string, ...string[]];
  readonly things: readonly [string, ...string[]];
  readonly pets: readonly [string, ...string[]];
}

const TEST: Words = {
  places: [
    "Ardmore",
    "Brenford",
    "Calderby",
    "Dunwick",
    "Eastmere",
    "Farholm",
    "Grenton",
    "Hallow",
  ],
  people: ["Ada Finch", "Basil Crowe", "Clara Munt", "Dora Vane", "Edgar Pym", "Flora Tait"],
  things: ["lantern", "copper", "walnut", "harvest", "marble", "saffron", "anchor", "velvet"],
  pets: ["Biscuit", "Pepper", "Nutkin", "Clover", "Domino", "Truffle"],
};

const VALIDATION: Words = {
  places: [
    "Ashcombe",
    "Birkdale",
    "Crowhurst",
    "Denholm",
    "Elmstead",
    "Foxley",
    "Girton",
    "Hexley",
  ],
  people: ["Alma Reed", "Bruno Hale", "Celia Stark", "Denis Moor", "Elsa Quill", "Frank Lomax"],
  things: ["compass", "silver", "chestnut", "winter", "granite", "ginger", "beacon", "linen"],
  pets: ["Comet", "Pickle", "Rascal", "Thistle", "Bramble", "Sorrel"],
};

/** Every kind of fact; the two splits have no wording and no name in common. */
export const FACT_TEMPLATES: Readonly<Record<Split, readonly [FactTemplate, ...FactTemplate[]]>> = {
  test: [
    about(TEST.places, TEST.things, (place, answer) => ({
      statement: `The password of the cellar in ${place} is ${answer}.`,
      question: `What is the password of the cellar in ${place}?`,
    })),
    about(TEST.places, numbers(110, 990), (place, answer) => ({
      statement: `The lighthouse at ${place} has ${answer} steps.`,
      question: `How many steps does the lighthouse at ${place} have?`,
    })),
    about(TEST.people, numbers(1100, 9900), (person, answer) => ({
      statement: `The locker number of ${person} is ${answer}.`,
      question: `What is the locker number of ${person}?`,
    })),
    about(TEST.people, TEST.pets, (person, answer) => ({
      statement: `The cat of ${person} is called ${answer}.`,
      question: `What is the cat of ${person} called?`,
    })),
    about(TEST.places, numbers(110, 990), (place, answer) => ({
      statement: `The bakery in ${place} sells ${answer} loaves every day.`,
      question: `How many loaves does the bakery in ${place} sell every day?`,
    })),
    about(TEST.people, TEST.things, (person, answer) => ({
      statement: `The favourite word of ${person} is ${answer}.`,
      question: `What is the favourite word of ${person}?`,
    })),
  ],
  validation: [
    about(VALIDATION.places, VALIDATION.things, (place, answer) => ({
      statement: `The secret sign of the club in ${place} is ${answer}.`,
      question: `What is the secret sign of the club in ${place}?`,
    })),
    about(VALIDATION.places, numbers(110, 990), (place, answer) => ({
      statement: `The castle of ${place} has ${answer} windows.`,
      question: `How many windows does the castle of ${place} have?`,
    })),
    about(VALIDATION.people, numbers(1100, 9900), (person, answer) => ({
      statement: `The ticket number of ${person} is ${answer}.`,
      question: `What is the ticket number of ${person}?`,
    })),
    about(VALIDATION.people, VALIDATION.pets, (person, answer) => ({
      statement: `The horse of ${person} is named ${answer}.`,
      question: `What is the horse of ${person} named?`,
    })),
    about(VALIDATION.places, numbers(110, 990), (place, answer) => ({
      statement: `The mill near ${place} grinds ${answer} sacks a week.`,
      question: `How many sacks does the mill near ${place} grind a week?`,
    })),
    about(VALIDATION.people, VALIDATION.things, (person, answer) => ({
      statement: `The code name of ${person} is ${answer}.`,
      question: `What is the code name of ${person}?`,
    })),
  ],
};

/** The least and the most of a number that is drawn. */
interface Range {
  readonly min: number;
  readonly max: number;
}

function numbers(min: number, max: number): Range {
  return { min, max };
}

function about(
  names: readonly [string, ...string[]],
  answers: Range | readonly [string, ...string[]],
  tell: (name: string, answer: string) => Omit<Fact, "answer">,
): FactTemplate {
  return (draw) => {
    const name = draw.one(names);
    const answer = "min" in answers
      ? String(draw.integer(answers.min, answers.max))
      : draw.one(answers);
    return { ...tell(name, answer), answer };
  };
}
