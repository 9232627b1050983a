export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isEmpty(object: unknown): boolean {
  return isObject(object) && Object.keys(object).length === 0;
}

/** The RFC 7396 merge patch that makes to of from: null for members that are gone, patches for objects, else the new value. */
export function mergePatch(from: JsonObject, to: JsonObject): JsonObject {
  const patch: Record<string, unknown> = {};
  for (const name of Object.keys(from)) if (!(name in to)) patch[name] = null;
  for (const [name, value] of Object.entries(to)) {
    const old = from[name];
    if (JSON.stringify(old) === JSON.stringify(value)) continue;
    const part = isObject(old) && isObject(value) ? mergePatch(old, value) : value;
    // Objects with the same members in another order are equal.
    if (part === value || !isEmpty(part)) patch[name] = part;
  }
  return patch;
}
