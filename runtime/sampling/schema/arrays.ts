import { choice, EMPTY, type Expression, NEVER, repeated, sequence } from "../grammar/grammar.ts";
import type { JsonGrammar } from "../grammar/json_grammar.ts";
import { isSchema, type JsonSchema, type SchemaObject } from "./keywords.ts";
import type { PartGrammar } from "./part_grammar.ts";

/** Lists that a schema allows. */
export function arrayGrammar(
  schema: SchemaObject,
  json: JsonGrammar,
  part: PartGrammar,
  path: string,
): Expression | undefined {
  const { prefixItems, items, minItems, maxItems } = schema;
  if ([prefixItems, items, minItems, maxItems].every((value) => value === undefined)) {
    return json.array;
  }
  const least = typeof minItems === "number" ? minItems : 0;
  const most = typeof maxItems === "number" ? maxItems : Infinity;
  const places: readonly JsonSchema[] = Array.isArray(prefixItems)
    ? prefixItems.filter(isSchema)
    : [];
  const rest: JsonSchema = isSchema(items) ? items : true;
  const { comma } = json;
  const other = part(rest, `${path}/items`);

  /** What may follow so many items. */
  const after = (count: number): Expression | undefined => {
    const end = count >= least ? EMPTY : NEVER;
    if (count >= most) return end;
    const lead = count === 0 ? EMPTY : comma;
    const place = places[count];
    if (place !== undefined) {
      const item = part(place, `${path}/prefixItems/${count}`);
      return choice(
        end,
        sequence(lead, item, after(count + 1)),
      );
    }
    const left = Math.max(least - count, 0);
    if (count > 0) return repeated(sequence(comma, other), left, most - count);
    return choice(
      end,
      sequence(other, repeated(sequence(comma, other), Math.max(left - 1, 0), most - 1)),
    );
  };
  return json.enclosed("[", after(0), "]");
}
