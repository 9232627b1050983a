// The fields of the editor's Display tab that only some types of widgets have.

export interface FormField {
  /** Where its value stands in the document, such as display_config/y_axis/min. */
  readonly path: string;
  readonly label: string;
  /** Its part of the form's width; half of it when absent. */
  readonly width?: "third" | "quarter" | "full";
  /** Texts to choose from, with their values. */
  readonly kind: "number" | "text" | readonly (readonly [value: string, text: string])[];
  readonly hint?: string;
  /** What holds where the document has no value: the placeholder of an empty field, or the choice that is shown. */
  readonly fallback?: string;
}

export const TIME_LABEL: FormField = { path: "display_config/x_axis/label", label: "Label of the time axis", kind: "text" };
export const VALUE_LABEL: FormField = { path: "display_config/y_axis/label", label: "Label of the value axis", kind: "text" };
export const FROM: FormField = { path: "display_config/y_axis/min", label: "From", width: "third", kind: "number", fallback: "auto" };
export const TO: FormField = { path: "display_config/y_axis/max", label: "To", width: "third", kind: "number", fallback: "auto" };
export const LIMIT: FormField = { path: "display_config/limit", label: "Series at most", kind: "number", hint: "those with the largest values", fallback: "20" };
