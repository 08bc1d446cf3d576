/** Which copying tasks: the two have no wording and no name in common. */
export type CopyingSplit = "train" | "validation";

/** Names of one split. */
export interface Vocabulary {
  readonly people: readonly string[];
  readonly places: readonly string[];
  /** What has codes and numbers. */
  readonly things: readonly string[];
  /** Syllables of made-up names. */
  readonly syllables: readonly string[];
  /** Stands before several values. */
  readonly announcement: string;
}

/** The names. */
export const VOCABULARY: Readonly<Record<CopyingSplit, Vocabulary>> = {
  train: {
    people: [
      ...["Anselm Voss", "Brigid Thorne", "Cosimo Lund", "Delphine Arkwright", "Eamon Pryce"],
      ...["Fenella Drake", "Gustav Odell", "Hettie Marlow", "Ignatius Bell", "Jocasta Wynn"],
      ...["Kaspar Hume", "Lavinia Croft", "Magnus Teale", "Nerys Gough", "Osbert Quince"],
      ...["Petra Sandoval", "Quill Ransome", "Rosalind Ekker", "Silas Borthwick", "Thea Mandrake"],
      ...["Ulric Fane", "Verity Olsen", "Wilfred Nkosi", "Xenia Palmer", "Yorick Stead"],
      ...["Zelda Hartigan", "Amadou Keane", "Beatrix Solano", "Caspian Reeve", "Dorothea Lisle"],
    ],
    places: [
      ...["Norvik", "Castelmar", "Dunmere", "Ashgrove", "Port Salis", "Ellenby", "Tarnwick"],
      ...["Vellacourt", "Brackenford", "Osterhall", "Kingsmoor", "Lowther Bay", "Saint Orrin"],
      ...["Thornbury Cross", "Wexhollow", "Zellenbad", "Quarrymouth", "Inverdale", "Marrowgate"],
    ],
    things: [
      ...["parcel", "crate", "ledger", "telescope", "violin", "turbine", "printer", "router"],
      ...["greenhouse", "ferry", "warehouse", "sensor", "vault", "truck", "server", "pump"],
    ],
    syllables: [
      ...["ka", "lo", "ven", "tir", "mos", "dra", "pel", "sun", "qui", "zor", "bem", "fay"],
      ...["gol", "hin", "jax", "rud", "wex", "yot"],
    ],
    announcement: "In this order, they are",
  },
  validation: {
    people: [
      ...["Alaric Penn", "Bettina Cole", "Cormac Dray", "Daphne Irwin", "Ezra Tolliver"],
      ...["Freya Holm", "Gideon Sharp", "Hester Vale", "Ivo Kramer", "Judith Amory"],
      ...["Konrad Lisk", "Leonie Marsh", "Mortimer Gray", "Nadia Forbes", "Otto Ferris"],
    ],
    places: [
      ...["Halvorsund", "Merrivale", "Otterbourne", "Pellworth", "Ravensholm", "Stavely"],
      ...["Tamarind Point", "Umberleigh", "Vasterby", "Whitcombe"],
    ],
    things: [
      ...["satchel", "barrel", "manuscript", "microscope", "cello", "generator", "scanner"],
      ...["gateway", "orchard", "barge"],
    ],
    syllables: [
      ...["bru", "cel", "dov", "esk", "fin", "gar", "hul", "ist", "jor", "kel", "lum", "nax"],
    ],
    announcement: "One after the other:",
  },
};
