// Tells as JSON what graphql-inspector finds different between two schemas; what was deprecated may go.
import { readFileSync } from "node:fs";
import { diff, DiffRule } from "@graphql-inspector/core";
import { buildSchema } from "graphql";

const [before, after] = process.argv.slice(2).map((path) => buildSchema(readFileSync(path, "utf8")));
const changes = await diff(before, after, [DiffRule.suppressRemovalOfDeprecatedField]);
console.log(JSON.stringify(changes.map(({ criticality, path, message }) => ({ level: criticality.level, path, message }))));
