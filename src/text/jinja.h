/*
 * jinja.h - a small interpreter of Jinja, for chat templates.
 *
 *     text of a template -> operations (jinja_parse.c) -> run over values (jinja_run.c, jinja_builtins.c) -> text
 *
 * The language is the part of Jinja2 3.1 that published chat templates use, set up as transformers does it:
 * trim_blocks, lstrip_blocks, break and continue, the tag `generation`, tojson without HTML escapes, values that cannot
 * be changed. What is known to Jinja2 and not to this interpreter is refused by its name and line
 * (INK_ERROR_UNSUPPORTED), when the template is parsed, or for filters, tests, methods and functions when it gets
 * there.
 *
 * Every byte of a string knows where it comes from: from the template, or from the data that the template is run over.
 * The mark goes along through concatenation, slices, filters, methods, and captured blocks. So the caller can tell what
 * the template wrote from what somebody typed, however the two are mixed.
 *
 * A template comes from somebody else. Neither parsing nor running recurses in C; both keep stacks of their own. A run
 * has a bound for its steps (each operation is one, and each piece of work in a filter), for its memory, and for calls
 * within calls.
 *
 *     ink_jinja_parse(ctx, arena, "chat_template.jinja", text, size, &program);
 *
 *     ink_jinja run;
 *     ink_jinja_begin(&run, ctx, program, most_bytes, most_steps);
 *     ink_jinja_new_text(&run, "<s>", 3, false, &value);
 *     ink_jinja_set(&run, "bos_token", 9, value);
 *     ink_jinja_render(&run);                        run.out is the text
 *     ink_jinja_end(&run);                           gives the memory back
 */
#ifndef INK_TEXT_JINJA_H
#define INK_TEXT_JINJA_H

#include "../base/internal.h"

/* ---- values ----------------------------------------------------------------------------------------------------- */

typedef enum ink_jinja_kind {
    INK_JINJA_MISSING,   /* an argument that nobody gave */
    INK_JINJA_UNDEFINED, /* `text` is its name */
    INK_JINJA_NONE,
    INK_JINJA_BOOL,
    INK_JINJA_INT,
    INK_JINJA_FLOAT,
    INK_JINJA_TEXT,
    INK_JINJA_LIST,
    INK_JINJA_TUPLE,
    INK_JINJA_DICT,
    INK_JINJA_NAMESPACE,
    INK_JINJA_LOOP,
    INK_JINJA_MACRO,
    INK_JINJA_FUNCTION /* `which` of the table of builtins; of a method, `object` is the value it belongs to */
} ink_jinja_kind;

/* A string of UTF-8. Bytes that are not UTF-8 count as characters. */
typedef struct ink_jinja_string {
    const char *at;      /* [size] */
    const uint8_t *data; /* [size] 1: the byte is from the data, 0: from the template; NULL: all are as is_data */
    uint32_t size, n_chars;
    bool is_data;
} ink_jinja_string;

typedef struct ink_jinja_value ink_jinja_value;
typedef struct ink_jinja_loop ink_jinja_loop;
typedef struct ink_jinja_scope ink_jinja_scope;

typedef struct ink_jinja_list {
    const ink_jinja_value *items; /* [n] */
    size_t n;
} ink_jinja_list;

/* A dict in the order of insertion, or a namespace. */
typedef struct ink_jinja_dict {
    ink_jinja_value *pairs; /* [capacity][2] key and value */
    size_t n, capacity;
} ink_jinja_dict;

/* Name, parameters and code of a macro. */
typedef struct ink_jinja_macro {
    uint32_t name, start;
    const uint32_t *parameters; /* [n_parameters] names */
    uint32_t n_parameters;
} ink_jinja_macro;

/* A macro, and the scope in which it was defined. */
typedef struct ink_jinja_closure {
    const ink_jinja_macro *macro;
    ink_jinja_scope *scope;
} ink_jinja_closure;

struct ink_jinja_value {
    ink_jinja_kind kind;
    uint32_t
        which; /* of a text INK_JINJA_SAFE or 0; of what is undefined INK_JINJA_NOT_GIVEN or 0; of a function its row */
    union {
        bool truth;
        int64_t integer;
        double number;
        const ink_jinja_string *text;
        const ink_jinja_list *list;
        ink_jinja_dict *dict;
        ink_jinja_loop *loop;
        ink_jinja_closure *closure;
        const void *object;
    };
};

/* The filter `safe` made a text; it can be written and joined with ~, but not added to with +, which would escape. */
#define INK_JINJA_SAFE 1u

/* A parameter of a macro for which the call has no value. */
#define INK_JINJA_NOT_GIVEN 1u

struct ink_jinja_loop {
    const ink_jinja_value *items; /* [n] */
    size_t n, index;              /* the current item is items[index - 1] */
    ink_jinja_loop *outer;
    ink_jinja_scope *scope, *inner; /* around the loop, and of the item before */
    ink_jinja_value *kept;          /* [n_kept] of a loop that filters; else NULL */
    size_t n_kept;
    ink_jinja_value changed; /* what loop.changed() saw last */
};

/* ---- programs --------------------------------------------------------------------------------------------------- */

typedef struct ink_jinja_op {
    uint8_t code, flags;
    uint16_t n, n_keywords; /* values it takes; pairs of name and value behind them */
    uint32_t arg;           /* a constant, a name, an operator, a macro */
    int32_t jump;           /* how far */
    uint32_t line;
} ink_jinja_op;

typedef enum ink_jinja_code {
    INK_OP_END,
    INK_OP_PRINT,        /* x -> */
    INK_OP_CONSTANT,     /* -> constant `arg` */
    INK_OP_LOAD,         /* -> the variable `arg` */
    INK_OP_STORE,        /* x ->  into the variable `arg` */
    INK_OP_STORE_MEMBER, /* x ->  into the member with the name `n` of the namespace `arg` */
    INK_OP_UNPACK,       /* x -> its n items, the first on top */
    INK_OP_LIST,         /* n items -> list; flags: tuple */
    INK_OP_DICT,         /* n keys and values -> dict */
    INK_OP_MEMBER,       /* x -> x.name */
    INK_OP_ITEM,         /* x y -> x[y] */
    INK_OP_SLICE,        /* x a b c -> x[a:b:c] */
    INK_OP_CALL,         /* f x... -> f(x...); flags: the macro `caller` is on top of the arguments */
    INK_OP_FILTER,       /* x y... -> x|filter(y...); arg: its name */
    INK_OP_TEST,         /* x y... -> x is test(y...); arg: its name */
    INK_OP_NEGATE,
    INK_OP_NOT,
    INK_OP_BINARY, /* x y -> x op y */
    INK_OP_CHAIN,  /* x y -> y, and on; or false, and jump, if x op y is not true: x < y < z */
    INK_OP_AND,    /* x -> , and on; or x, and jump */
    INK_OP_OR,
    INK_OP_JUMP,
    INK_OP_UNLESS, /* x ->  jump if it is false */
    INK_OP_SCOPE,  /* a new scope */
    INK_OP_UNSCOPE,
    INK_OP_CAPTURE, /* what is written from here to RETURN is kept, in a scope of its own */
    INK_OP_RETURN,  /* -> what was captured as a string; from a macro: back to the call */
    INK_OP_FOR,     /* x ->  begins a loop; flags: a loop that filters */
    INK_OP_NEXT,    /* -> the next item in a scope of its own; or jump */
    INK_OP_KEEP,    /* x ->  keeps the item if x is true; jump */
    INK_OP_KEPT,    /* -> the list of items that were kept; the end of the loop */
    INK_OP_DONE,    /* the end of a loop; jump if there was an item */
    INK_OP_MACRO,   /* -> macro `arg` */
    INK_OP_DEFAULT  /* jump if the parameter `arg` has a value */
} ink_jinja_code;

typedef enum ink_jinja_operator {
    INK_JINJA_ADD,
    INK_JINJA_SUB,
    INK_JINJA_JOIN,
    INK_JINJA_MUL,
    INK_JINJA_DIV,
    INK_JINJA_FLOOR_DIV,
    INK_JINJA_MOD,
    INK_JINJA_POW,
    INK_JINJA_EQ,
    INK_JINJA_NE,
    INK_JINJA_LT,
    INK_JINJA_LE,
    INK_JINJA_GT,
    INK_JINJA_GE,
    INK_JINJA_IN,
    INK_JINJA_NOT_IN
} ink_jinja_operator;

/* Names that every program has, as the first ones. */
enum { INK_JINJA_LOOP_NAME, INK_JINJA_CALLER_NAME };

/* An immutable template. */
typedef struct ink_jinja_program {
    const char *file; /* for messages */
    const ink_jinja_op *ops;
    const ink_jinja_value *constants;
    const ink_jinja_value *names; /* [n_names] texts */
    size_t n_names;
    const ink_jinja_macro *macros;
} ink_jinja_program;

/* Parses a template. The program lives in `arena` (growing), `file` is kept, `text` is not. INK_ERROR_CORRUPT with the
   line; INK_ERROR_UNSUPPORTED for what is not there; INK_ERROR_LIMIT; INK_ERROR_MEMORY. */
ink_result ink_jinja_parse(ink_context *ctx, ink_arena *arena, const char *file, const char *text, size_t size,
                           ink_jinja_program *program);

/* ---- running ---------------------------------------------------------------------------------------------------- */

#define INK_JINJA_DEPTH 64  /* of values in values */
#define INK_JINJA_CALLS 128 /* of macros and captured blocks in others */

/* A local time, for strftime_now. */
typedef struct ink_jinja_time {
    int year, month, day, hour, minute, second;
} ink_jinja_time;

typedef struct ink_jinja {
    ink_context *ctx;
    const ink_jinja_program *program;
    ink_jinja_time now;
    ink_arena_mark mark;
    size_t left;    /* bytes */
    uint64_t steps; /* that are left */
    char *block;    /* [block_left] small allocations are cut from it */
    size_t block_left;

    char *out;         /* [n_out] what is written, of out_room */
    uint8_t *out_data; /* [n_out] 1 for bytes of the data */
    size_t n_out, out_room;

    ink_jinja_value *stack; /* [n_stack] of stack_room */
    size_t n_stack, stack_room;
    struct ink_jinja_frame *frames; /* [n_frames] */
    size_t n_frames;
    ink_jinja_scope *scope;
    ink_jinja_loop *loop;
    size_t nested; /* filters that a filter runs */
} ink_jinja;

/* Begins a run with scratch memory of the context, at most `bytes`, and at most `steps`. */
ink_result ink_jinja_begin(ink_jinja *run, ink_context *ctx, const ink_jinja_program *program, size_t bytes,
                           uint64_t steps);

/* Sets a variable of the template. A name that the template does not have costs nothing. */
ink_result ink_jinja_set(ink_jinja *run, const char *name, size_t size, ink_jinja_value value);

/* Runs the template. INK_ERROR_ARGUMENT: raise_exception; INK_ERROR_MISMATCH: the values are not what the template
   needs; INK_ERROR_UNSUPPORTED: a filter, test, method or function that is not there; INK_ERROR_LIMIT,
   INK_ERROR_MEMORY. All with the line of the template. */
ink_result ink_jinja_render(ink_jinja *run);

/* Releases the memory of the run; returns `result`. */
ink_result ink_jinja_end(ink_jinja *run, ink_result result);

/* ---- values, for those that make them --------------------------------------------------------------------------- */

/* Memory of the run, at a multiple of 16; NULL beyond the limit, and ink_jinja_failed() has the sentence. */
void *ink_jinja_alloc(ink_jinja *run, size_t count, size_t size);
ink_result ink_jinja_failed(const ink_jinja *run);
ink_result ink_jinja_new_values(ink_jinja *run, size_t n, ink_jinja_value **values);

/* A string over bytes that live as long as the run, [size]. */
ink_result ink_jinja_new_text(ink_jinja *run, const char *at, size_t size, bool is_data, ink_jinja_value *value);

/* A list or tuple of items that are not copied; an empty dict or namespace. */
ink_result ink_jinja_new_list(ink_jinja *run, ink_jinja_kind kind, const ink_jinja_value *items, size_t n,
                              ink_jinja_value *value);
ink_result ink_jinja_new_dict(ink_jinja *run, ink_jinja_kind kind, size_t capacity, ink_jinja_value *value);

/* Puts a pair into a dict: a new one, or in place of that with an equal key. */
ink_result ink_jinja_put_pair(ink_jinja *run, ink_jinja_dict *dict, ink_jinja_value key, ink_jinja_value value);

static inline ink_jinja_value ink_jinja_bool(bool truth)
{
    return (ink_jinja_value){.kind = INK_JINJA_BOOL, .truth = truth};
}
static inline ink_jinja_value ink_jinja_int(int64_t integer)
{
    return (ink_jinja_value){.kind = INK_JINJA_INT, .integer = integer};
}
static inline ink_jinja_value ink_jinja_float(double number)
{
    return (ink_jinja_value){.kind = INK_JINJA_FLOAT, .number = number};
}
static inline ink_jinja_value ink_jinja_none(void) { return (ink_jinja_value){.kind = INK_JINJA_NONE}; }

/* ---- inside the interpreter ------------------------------------------------------------------------------------- */

/* jinja_run.c. Takes steps. */
ink_result ink_jinja_spend(ink_jinja *run, size_t steps);

/* Writes bytes. What is written behind a former n_out becomes a string by ink_jinja_cut(), and is no longer there. */
ink_result ink_jinja_write(ink_jinja *run, const char *at, size_t size, bool is_data);
ink_result ink_jinja_write_part(ink_jinja *run, const ink_jinja_string *text, size_t start, size_t stop);
ink_result ink_jinja_cut(ink_jinja *run, size_t from, ink_jinja_value *text);

/* A part of a string: bytes from start to stop. */
ink_result ink_jinja_part(ink_jinja *run, const ink_jinja_string *text, size_t start, size_t stop,
                          ink_jinja_value *part);

/* The stack. What is pushed behind a former n_stack becomes a list or tuple by ink_jinja_gather(). */
ink_result ink_jinja_push(ink_jinja *run, ink_jinja_value value);
ink_result ink_jinja_gather(ink_jinja *run, ink_jinja_kind kind, size_t from, ink_jinja_value *list);

const char *ink_jinja_kind_name(ink_jinja_value value);
bool ink_jinja_truth(ink_jinja_value value);
bool ink_jinja_integer(ink_jinja_value value, int64_t *integer); /* of a number without fraction, or a truth value */
/* INK_ERROR_MISMATCH: 'x' is undefined, or a sentence with one %s for the kind of value. */
ink_result ink_jinja_wrong(ink_jinja *run, ink_jinja_value value, const char *sentence);
ink_result ink_jinja_unsupported(ink_jinja *run, const char *what, const ink_jinja_string *name);
ink_result ink_jinja_equal(ink_jinja *run, ink_jinja_value a, ink_jinja_value b, bool *equal);
ink_result ink_jinja_order(ink_jinja *run, ink_jinja_value a, ink_jinja_value b, int *order);
/* The first place of a string behind `start` of another; SIZE_MAX: none. It takes steps for what it compares, which can
   be the product of both sizes. */
ink_result ink_jinja_place(ink_jinja *run, const ink_jinja_string *text, size_t start, const ink_jinja_string *what,
                           size_t *at);
ink_result ink_jinja_binary(ink_jinja *run, ink_jinja_operator op, ink_jinja_value a, ink_jinja_value b,
                            ink_jinja_value *value);
/* The value of a key that is a string, or NULL. */
const ink_jinja_value *ink_jinja_find(const ink_jinja_dict *dict, const ink_jinja_string *key);
/* The items of anything that a loop can go over. */
ink_result ink_jinja_items(ink_jinja *run, ink_jinja_value value, ink_jinja_list *items);
ink_result ink_jinja_item(ink_jinja *run, ink_jinja_value of, ink_jinja_value key, ink_jinja_value *item);

/* jinja_write.c. How a value is written: as print does it, as in a list, as JSON. */
typedef struct ink_jinja_style {
    bool json, ascii;
    const ink_jinja_string *item, *key; /* between items, and behind a key; NULL: ", " and ": " */
    const ink_jinja_string *indent;     /* of each level; NULL: all in one line */
} ink_jinja_style;

ink_result ink_jinja_write_value(ink_jinja *run, ink_jinja_value value, const ink_jinja_style *style);
ink_result ink_jinja_print(ink_jinja *run, ink_jinja_value value); /* as {{ }} does it */
ink_result ink_jinja_to_text(ink_jinja *run, ink_jinja_value value, ink_jinja_value *text);
ink_result ink_jinja_percent(ink_jinja *run, const ink_jinja_string *format, ink_jinja_value args); /* Python's % */
ink_result ink_jinja_strftime(ink_jinja *run, const ink_jinja_string *format);
double ink_jinja_round(double x, int64_t digits); /* half to even, as Python */

/* jinja_builtins.c. The arguments of a call: positional, then pairs of keywords. */
typedef struct ink_jinja_call {
    ink_jinja_value self;
    const ink_jinja_value *args;     /* [n_args] */
    const ink_jinja_value *keywords; /* [n_keywords][2] name and value */
    size_t n_args, n_keywords;
} ink_jinja_call;

/* Python's str.format(). */
ink_result ink_jinja_format(ink_jinja *run, const ink_jinja_string *format, const ink_jinja_call *call);
ink_result ink_jinja_filter(ink_jinja *run, const ink_jinja_string *name, const ink_jinja_call *call,
                            ink_jinja_value *value);
ink_result ink_jinja_test(ink_jinja *run, const ink_jinja_string *name, const ink_jinja_call *call, bool *truth);
ink_result ink_jinja_apply(ink_jinja *run, ink_jinja_value function, ink_jinja_call *call, ink_jinja_value *value);
/* The function of that name, or with MISSING for `of`, the method of a value; UNDEFINED if there is none. */
ink_result ink_jinja_lookup(ink_jinja *run, ink_jinja_value of, const ink_jinja_string *name,
                            ink_jinja_value *function);

/* jinja_parse.c. White space as Python's str.isspace() has it; the first place from `at` on that is none. */
bool ink_jinja_is_space(uint32_t code);
size_t ink_jinja_skip_spaces(const char *text, size_t size, size_t at);

static inline bool ink_jinja_named(const ink_jinja_string *text, const char *name)
{
    return text->size == strlen(name) && memcmp(text->at, name, text->size) == 0;
}

#endif
