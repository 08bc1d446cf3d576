/**
 * The part of `@cliffy/command` that this repository's command line uses, built over the npm
 * library `commander`, for machines that cannot reach JSR.
 *
 * @module
 */
export { Command, type DeclaredOption, type ParsedCommand } from "./command.ts";
export { ValidationError } from "./errors.ts";
export type { ActionOf, OptionSettings } from "./inference.ts";
export { type ArgumentValue, EnumType, type TypeHandler } from "./value_types.ts";
