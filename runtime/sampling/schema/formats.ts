/** What texts of a format look like, and how long they are. */
export interface TextFormat {
  readonly pattern: string;
}

const YEAR = String.raw`[0-9]{4}`;
/** Years that can be divided by four, those of a century only by four hundred. */
const LEAP_YEAR =
  "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00|0000)";
const DATE = `(?:${YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])` +
  "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))" +
  `|${LEAP_YEAR}-02-29)`;
const HOUR = "(?:[01][0-9]|2[0-3])";
const SIXTY = "[0-5][0-9]";
const TIME = `${HOUR}:${SIXTY}:${SIXTY}(?:\\.[0-9]{1,6})?(?:Z|[+\\-]${HOUR}:${SIXTY})`;
const BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const LABEL = "[A-Za-z0-9](?:[A-Za-z0-9\\-]{0,30}[A-Za-z0-9])?";
const HOST = `${LABEL}(?:\\.${LABEL}){0,4}`;
const HEX = "[0-9A-Fa-f]";

/**
 * Formats that are enforced, as patterns. Not every text of a format need match: a model writes one of
 * the usual form.
 */
export const FORMATS: Readonly<Record<string, TextFormat>> = {
  date: { pattern: DATE },
  time: { pattern: TIME },
  "date-time": { pattern: `${DATE}T${TIME}` },
  duration: {
    pattern: "P(?:[0-9]{1,4}W|[0-9]{1,4}D|[0-9]{1,4}Y(?:[0-9]{1,4}M(?:[0-9]{1,4}D)?)?" +
      "|T(?:[0-9]{1,4}H(?:[0-9]{1,4}M(?:[0-9]{1,4}S)?)?|[0-9]{1,4}M(?:[0-9]{1,4}S)?|[0-9]{1,4}S))",
  },
  uuid: { pattern: `${HEX}{8}-${HEX}{4}-${HEX}{4}-${HEX}{4}-${HEX}{12}` },
  ipv4: { pattern: `${BYTE}(?:\\.${BYTE}){3}` },
  ipv6: { pattern: `(?:${HEX}{1,4}:){7}${HEX}{1,4}` },
  hostname: { pattern: HOST },
  email: {
    pattern:
      `[A-Za-z0-9_+\\-]{1,30}(?:\\.[A-Za-z0-9_+\\-]{1,30}){0,3}@${LABEL}(?:\\.${LABEL}){1,4}`,
  },
  uri: {
    pattern: `(?:https?|ftp)://${HOST}(?::[1-9][0-9]{0,3})?` +
      "(?:/[A-Za-z0-9._~!$&'()*+,;=:@\\-]{0,60}){0,12}(?:\\?[A-Za-z0-9._~=&\\-]{0,200})?",
  },
};
