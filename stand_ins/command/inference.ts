/** Settings of an option. */
export interface OptionSettings<Default, Required, Collect> {
  /** Value when the option is absent. */
  readonly default?: Default;
  /** The option must be given. */
  readonly required?: Required;
  /** The option may occur several times; its values make a list. */
  readonly collect?: Collect;
  /** Options that cannot stand beside this one. */
  readonly conflicts?: string[];
  /** Options that must stand beside this one. */
  readonly depends?: string[];
  /** The option is left out of the help. */
  readonly hidden?: boolean;
}

/** Types that need no registration. */
export interface BuiltInTypes {
  string: string;
  file: string;
  number: number;
  integer: number;
  boolean: boolean;
}

type Camel<S extends string> = S extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : S;

type FirstWord<S extends string> = S extends `${infer Word} ${string}` ? Word : S;

/** Property name of an option: `-m, --max-tokens <n:integer>` is `maxTokens`. */
type PropertyOf<Flags extends string> = Flags extends `${string}--${infer Rest}`
  ? Camel<FirstWord<Rest>>
  : Flags extends `-${infer Rest}` ? FirstWord<Rest>
  : never;

type TypeNamed<Name extends string, Types> = Name extends keyof Types ? Types[Name] : string;

/** Value of an option by its flags; an option without a value is `true`. */
type ValueOf<Flags extends string, Types> = Flags extends `${string}<${string}:${infer Type}>`
  ? TypeNamed<Type, Types>
  : Flags extends `${string}<${string}>` ? string
  : Flags extends `${string}[${string}:${infer Type}]` ? TypeNamed<Type, Types> | true
  : Flags extends `${string}[${string}]` ? string | true
  : true;

/** The property that an option adds to the options of an action. */
export type OptionOf<Flags extends string, Types, Default, Required, Collect> = Default extends
  undefined ? Required extends true ? Property<Flags, Types, Collect>
  : Partial<Property<Flags, Types, Collect>>
  : Record<PropertyOf<Flags>, Property<Flags, Types, Collect>[PropertyOf<Flags>] | Default>;

type Property<Flags extends string, Types, Collect> = Record<
  PropertyOf<Flags>,
  Collect extends true ? ValueOf<Flags, Types>[] : ValueOf<Flags, Types>
>;

type Typed<Body extends string, Types> = Body extends `${string}:${infer Type}`
  ? TypeNamed<Type, Types>
  : string;

/** Arguments of an action: `<file:string> [count:integer]` is `[string, number?]`. */
export type ArgumentsOf<Definition extends string, Types> = Definition extends
  `${infer First} ${infer Rest}` ? [...ArgumentOf<First, Types>, ...ArgumentsOf<Rest, Types>]
  : ArgumentOf<Definition, Types>;

type ArgumentOf<Definition extends string, Types> = Definition extends
  `${"<" | "["}...${infer Body}${">" | "]"}` ? Typed<Body, Types>[]
  : Definition extends `<${infer Body}>` ? [Typed<Body, Types>]
  : Definition extends `[${infer Body}]` ? [Typed<Body, Types>?]
  : [];

type Underscored<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Lowercase<Head>}${Capitalize<Underscored<Tail>>}`
  : Lowercase<S>;

/** The property that an environment variable adds: `KV_HOME=<folder:string>` is `kvHome`. */
export type VariableOf<Definition extends string, Types> = Definition extends
  `${infer Name}=<${string}:${infer Type}>`
  ? Partial<Record<Underscored<Name>, TypeNamed<Type, Types>>>
  : Definition extends `${infer Name}=<${string}>` ? Partial<Record<Underscored<Name>, string>>
  : Partial<Record<Underscored<Definition>, boolean>>;

/** What runs a command. */
export type ActionOf<Self, Options, Arguments extends unknown[]> = (
  this: Self,
  options: Options,
  ...args: Arguments
) => unknown;
