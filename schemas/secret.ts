/** A value that must not be shown: printing it, logging it or writing it as JSON gives `[secret]`. */
export class Secret<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** The value itself, for the one who needs it. */
  reveal(): T {
    return this.#value;
  }

  /** A secret made of this one. */
  map<U>(make: (value: T) => U): Secret<U> {
    return new Secret(make(this.#value));
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]';
  }
}
