import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Field } from "../../ui/field";
import { Icon } from "../../ui/icon";

interface Common {
  readonly label: string;
  readonly error?: string | undefined;
  readonly hint?: string | undefined;
  readonly class?: string;
  readonly placeholder?: string;
}

interface NumberProps extends Common {
  readonly value: unknown;
  /** null when the field is empty or holds no number. */
  onValue(value: number | null): void;
}

/** What is typed stays as it is typed while it means the value: 1.0 on the way to 1.05. */
export function NumberField({ value, onValue, placeholder, ...field }: NumberProps) {
  const [typed, setTyped] = useState("");
  const meant = typed === "" ? null : Number(typed);
  return (
    <Field {...field}>
      {(aria) => (
        <input
          {...aria}
          class="input"
          type="number"
          step="any"
          placeholder={placeholder}
          value={meant === value ? typed : value == null ? "" : String(value)}
          onInput={(event) => {
            const text = event.currentTarget.value;
            setTyped(text);
            onValue(text === "" ? null : Number(text));
          }}
        />
      )}
    </Field>
  );
}

export interface Choice {
  readonly value: string;
  readonly note?: string;
}

interface ComboProps extends Common {
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
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const box = useRef<HTMLUListElement>(null);
  useEffect(() => box.current?.children[at]?.scrollIntoView({ block: "nearest" }), [at]);
  const words = value.toLowerCase().split(/\s+/);
  const chosen = choices.some((one) => one.value === value);
  const found = (chosen ? choices : choices.filter((one) => words.every((word) => one.value.toLowerCase().includes(word)))).slice(0, SHOWN);
  const shown = open && found.length > 0;
  const close = (): void => {
    setOpen(false);
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
      setOpen(true);
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
              setOpen(true);
              setAt(-1);
            }}
            onClick={() => setOpen(true)}
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

interface MultiProps extends Common {
  readonly values: readonly string[];
  readonly choices: readonly Choice[];
  onValues(values: readonly string[]): void;
}

/** Several texts: each with a button that takes it out, and a field for the next. */
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

/** A small button that removes a line of a form. */
export function RemoveButton({ what, onClick }: { readonly what: string; onClick(): void }) {
  return (
    <button type="button" class="button button-icon button-quiet" aria-label={`Remove ${what}`} title="Remove" onClick={onClick}>
      <Icon name="trash" />
    </button>
  );
}

/** Adds a line to the form that it stands in, and goes there. */
export function AddButton({ text, onClick }: { readonly text: string; onClick(): void }) {
  return (
    <button
      type="button"
      class="button full"
      onClick={({ currentTarget }) => {
        onClick();
        const form = currentTarget.parentElement;
        setTimeout(() => [...(form?.querySelectorAll(".form-row") ?? [])].at(-1)?.querySelector("input")?.focus());
      }}
    >
      <Icon name="plus" />
      {text}
    </button>
  );
}
