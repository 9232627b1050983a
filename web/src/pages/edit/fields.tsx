import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Button } from "../../ui/button";
import { Field, type FieldTexts } from "../../ui/field";

export interface Choice {
  readonly value: string;
  readonly note?: string;
}

interface ComboProps extends FieldTexts {
  readonly value: string;
  readonly choices: readonly Choice[];
  readonly autoFocus?: boolean;
  onValue(value: string): void;
  /** A choice was picked, or Enter pressed on what is typed. */
  onPick?: (value: string) => void;
  onLeave?: () => void;
}

const SHOWN = 50;

/** A text field with a list of what there is: the combobox pattern of WAI-ARIA. Anything may be typed. */
export function Combo({ value, choices, autoFocus, placeholder, onValue, onPick, onLeave, ...field }: ComboProps) {
  const list = useId();
  /** How the list was opened: by typing it has the choices that match, else all. */
  const [open, setOpen] = useState<"" | "typed" | "all">("");
  const [at, setAt] = useState(-1);
  const box = useRef<HTMLUListElement>(null);
  useEffect(() => box.current?.children[at]?.scrollIntoView({ block: "nearest" }), [at]);
  const words = value.toLowerCase().split(/\s+/);
  const found = choices.filter((one) => open === "all" || words.every((word) => one.value.toLowerCase().includes(word))).slice(0, SHOWN);
  const shown = open !== "" && found.length > 0;
  const close = (): void => {
    setOpen("");
    setAt(-1);
  };
  const pick = (text: string): void => {
    close();
    onValue(text);
    onPick?.(text);
  };
  const onKey = (event: KeyboardEvent): void => {
    const { key } = event;
    if (key === "ArrowDown" || key === "ArrowUp") {
      if (!shown) setOpen("all");
      setAt(found.length === 0 ? -1 : (at + (key === "ArrowDown" ? 1 : at < 0 ? 0 : -1) + found.length) % found.length);
    } else if (key === "Enter") {
      const active = shown ? found[at] : undefined;
      if (active !== undefined) pick(active.value);
      else if (onPick !== undefined && value !== "") pick(value);
    } else if (key === "Escape" && shown) {
      close();
      event.stopPropagation();
    } else return;
    event.preventDefault();
  };
  return (
    <Field {...field}>
      {(aria) => (
        <div class="combo">
          <input
            {...aria}
            class="input"
            role="combobox"
            aria-expanded={shown}
            aria-controls={list}
            aria-autocomplete="list"
            aria-activedescendant={shown && at >= 0 ? `${list}-${at}` : undefined}
            autoComplete="off"
            spellcheck={false}
            autoFocus={autoFocus}
            placeholder={placeholder}
            value={value}
            onInput={(event) => {
              onValue(event.currentTarget.value);
              setOpen("typed");
              setAt(-1);
            }}
            onClick={() => setOpen("all")}
            onBlur={() => {
              close();
              onLeave?.();
            }}
            onKeyDown={onKey}
          />
          <ul id={list} ref={box} role="listbox" aria-label={field.label} class="combo-list" hidden={!shown} onMouseDown={(event) => event.preventDefault()}>
            {found.map(({ value: text, note }, i) => (
              <li key={text} id={`${list}-${i}`} role="option" aria-selected={i === at} class="combo-item" onClick={() => pick(text)}>
                <span>{text}</span>
                {note === undefined ? null : <small>{note}</small>}
              </li>
            ))}
          </ul>
        </div>
      )}
    </Field>
  );
}

interface MultiProps extends FieldTexts {
  readonly values: readonly string[];
  readonly choices: readonly Choice[];
  onValues(values: readonly string[]): void;
}

/** Several texts: a field for the next one, and a button for each that takes it out. */
export function Multi({ values, choices, onValues, ...field }: MultiProps) {
  const [typed, setTyped] = useState("");
  const add = (text: string): void => {
    const value = text.trim();
    setTyped("");
    if (value !== "" && !values.includes(value)) onValues([...values, value]);
  };
  return (
    <div class={`multi ${field.class ?? ""}`}>
      <Combo
        {...field}
        class=""
        value={typed}
        choices={choices.filter((one) => !values.includes(one.value))}
        onValue={setTyped}
        onPick={add}
        onLeave={() => add(typed)}
      />
      {values.length === 0 ? null : (
        <div class="multi-values">
          {values.map((value) => (
            <button key={value} type="button" class="tag" aria-label={`Take out ${value}`} onClick={() => onValues(values.filter((one) => one !== value))}>
              {value} ×
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

/** Moves the focus with the arrow keys among the buttons of a toolbar or a list of tabs, and returns where it is then. */
export function walk({ key, currentTarget }: KeyboardEvent): HTMLElement | undefined {
  const step = key === "ArrowRight" ? 1 : key === "ArrowLeft" ? -1 : 0;
  if (step === 0) return undefined;
  const all = [...(currentTarget as HTMLElement).querySelectorAll<HTMLElement>(":scope > button:enabled")];
  const next = all[(all.findIndex((one) => one === document.activeElement) + step + all.length) % all.length];
  next?.focus();
  return next;
}

interface RowsProps<T> {
  readonly legend: string;
  readonly rows: readonly T[];
  /** What a row is: a threshold. */
  readonly what: string;
  /** What a new row begins with. */
  readonly fresh: T;
  readonly error?: string | undefined;
  readonly children: (row: T, set: (part: Partial<T>) => void, i: number) => ComponentChildren;
  onRows(rows: readonly T[]): void;
}

/** A list of small forms, with a button that adds one and focuses it. */
export function Rows<T>({ legend, rows, what, fresh, error, children, onRows }: RowsProps<T>) {
  return (
    <fieldset class="full rows">
      <legend class="field-label">{legend}</legend>
      {rows.map((row, i) => (
        <div key={i} class="form-row">
          {children(row, (part) => onRows(rows.map((one, j) => (j === i ? { ...one, ...part } : one))), i)}
          <Button look="quiet" icon="trash" label={`Remove ${what} ${i + 1}`} title="Remove" onClick={() => onRows(rows.filter((_, j) => j !== i))} />
        </div>
      ))}
      {error === undefined ? null : <span class="field-error">{error}</span>}
      <Button
        class="full"
        icon="plus"
        onClick={({ currentTarget }) => {
          onRows([...rows, fresh]);
          const form = currentTarget.parentElement;
          setTimeout(() => [...(form?.querySelectorAll(".form-row") ?? [])].at(-1)?.querySelector("input")?.focus());
        }}
      >
        Add a {what}
      </Button>
    </fieldset>
  );
}
