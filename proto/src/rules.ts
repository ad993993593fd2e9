/**
 * [R12] The number of the rules by which `decide` answers. Whoever writes a command stamps it, so a log that holds
 * commands of two releases is decided alike by every replay. A release keeps the rules before its own.
 */
export const currentRules = 1
