#include "plan/retention.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { SECONDS_PER_HOUR = 3600, SECONDS_PER_DAY = 86400, MONTHS_PER_YEAR = 12 };

/* A time broken down as a bucket needs it. */
struct civil {
    int64_t year;
    int month, day, hour; /* 1…12, 1…31, 0…23 */
    int64_t days;         /* since 1970-01-01 */
};

typedef int64_t bucket_fn(const struct civil *c, size_t nr);

static const int64_t NO_BUCKET = INT64_MIN; /* no key is that small */

/* One rule's state while the snapshots pass from the newest to the oldest. */
struct bucket {
    bucket_fn *key;
    const char *kind;
    int count;                        /* left to keep; -1: no end. Unused by `within` rules */
    struct retention_duration within; /* zero: rule is not in force. Unused by counting rules */
    int64_t last;                     /* the bucket that the last kept snapshot lay in */
};

static bool duration_is_zero(const struct retention_duration *d)
{
    return d->years == 0 && d->months == 0 && d->days == 0 && d->hours == 0;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

/* Days since 1970-01-01 of the first day of a month, in the proleptic Gregorian calendar. Years are counted from March,
 * so that the leap day is a year's last. */
static int64_t days_of_month_start(int64_t year, int month)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t month_from_march = (month + 9) % MONTHS_PER_YEAR;
    int64_t era = floor_div(y, 400), year_of_era = y - era * 400;
    int64_t days = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * month_from_march + 2) / 5;
    return era * 146097 + days - 719468;
}

static struct civil civil_from(const struct timespec *t, int32_t utc_offset_s)
{
    struct civil c;
    int64_t local = (int64_t)t->tv_sec + utc_offset_s;
    c.days = floor_div(local, SECONDS_PER_DAY);
    c.hour = (int)((local - c.days * SECONDS_PER_DAY) / SECONDS_PER_HOUR);
    /* The estimate is never too late, and short by a year or two. */
    c.year = 1970 + floor_div(c.days * 400, 146097) - 1;
    while (days_of_month_start(c.year + 1, 1) <= c.days)
        c.year++;
    c.month = 1;
    while (c.month < MONTHS_PER_YEAR && days_of_month_start(c.year, c.month + 1) <= c.days)
        c.month++;
    c.day = (int)(c.days - days_of_month_start(c.year, c.month)) + 1;
    return c;
}

static int64_t key_each(const struct civil *c, size_t nr)
{
    (void)c;
    return (int64_t)nr;
}

static int64_t key_hour(const struct civil *c, size_t nr)
{
    (void)nr;
    return c->days * 24 + c->hour;
}

static int64_t key_day(const struct civil *c, size_t nr)
{
    (void)nr;
    return c->days;
}

/* ISO weeks start on Monday, and 1970-01-01 was a Thursday: numbering weeks through needs no year. */
static int64_t key_week(const struct civil *c, size_t nr)
{
    (void)nr;
    return floor_div(c->days + 3, 7);
}

static int64_t key_month(const struct civil *c, size_t nr)
{
    (void)nr;
    return c->year * MONTHS_PER_YEAR + c->month;
}

static int64_t key_year(const struct civil *c, size_t nr)
{
    (void)nr;
    return c->year;
}

/* The instant that lies a duration before another. As everywhere in restic, a day that the month lacks runs over into
 * the next: a month before March 31 is March 3. */
static struct timespec time_before(const struct timespec *t, int32_t utc_offset_s, const struct retention_duration *d)
{
    struct civil c = civil_from(t, utc_offset_s);
    int64_t months = c.year * MONTHS_PER_YEAR + (c.month - 1) - (int64_t)d->years * MONTHS_PER_YEAR - d->months;
    int64_t year = floor_div(months, MONTHS_PER_YEAR);
    int64_t days = days_of_month_start(year, (int)(months - year * MONTHS_PER_YEAR) + 1) + (c.day - 1) - d->days;
    struct timespec out = *t;
    out.tv_sec =
        (time_t)((int64_t)t->tv_sec + (days - c.days) * SECONDS_PER_DAY - (int64_t)d->hours * SECONDS_PER_HOUR);
    return out;
}

static int time_compare(const struct timespec *a, const struct timespec *b)
{
    if (a->tv_sec != b->tv_sec)
        return a->tv_sec < b->tv_sec ? -1 : 1;
    return a->tv_nsec < b->tv_nsec ? -1 : a->tv_nsec > b->tv_nsec;
}

static int *duration_field(struct retention_duration *d, char unit)
{
    switch (unit) {
    case 'y':
        return &d->years;
    case 'm':
        return &d->months;
    case 'd':
        return &d->days;
    case 'h':
        return &d->hours;
    default:
        return NULL;
    }
}

int retention_parse_duration(const char *text, struct retention_duration *out, struct err *err)
{
    enum { MAX_VALUE = 1000000 }; /* keeps every sum far from overflow */
    struct retention_duration d = {-1, -1, -1, -1};
    const char *p = text;
    while (*p != '\0') {
        int64_t value = 0;
        const char *digits = p;
        for (; *p >= '0' && *p <= '9' && value <= MAX_VALUE; p++)
            value = value * 10 + (*p - '0');
        if (p == digits)
            return err_set(err, ERR_USAGE, "duration '%s': a number is expected at '%s'", text, p);
        if (value > MAX_VALUE)
            return err_set(err, ERR_USAGE, "duration '%s': number is too large", text);
        int *field = duration_field(&d, *p);
        if (field == NULL)
            return err_set(err, ERR_USAGE, "duration '%s': unit y, m, d or h is expected after %d", text, (int)value);
        if (*field >= 0)
            return err_set(err, ERR_USAGE, "duration '%s': unit '%c' is given twice", text, *p);
        *field = (int)value;
        p++;
    }
    for (const char *unit = "ymdh"; *unit != '\0'; unit++) {
        int *field = duration_field(&d, *unit);
        *field = *field < 0 ? 0 : *field;
    }
    if (duration_is_zero(&d))
        return err_set(err, ERR_USAGE, "duration '%s' is empty; it looks like 2y5m7d3h", text);
    *out = d;
    return 0;
}

bool retention_is_empty(const struct retention_policy *p)
{
    const int counts[] = {p->last, p->hourly, p->daily, p->weekly, p->monthly, p->yearly};
    const struct retention_duration *within[] = {&p->within,        &p->within_hourly,  &p->within_daily,
                                                 &p->within_weekly, &p->within_monthly, &p->within_yearly};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i] != 0 || !duration_is_zero(within[i]))
            return false;
    return p->keep_tag_count == 0;
}

static void append_duration(struct buf *out, const struct retention_duration *d)
{
    struct retention_duration copy = *d;
    for (const char *unit = "ymdh"; *unit != '\0'; unit++) {
        int value = *duration_field(&copy, *unit);
        if (value != 0)
            buf_printf(out, "%d%c", value, *unit);
    }
}

static void append_tags(struct buf *out, const struct strlist *tags)
{
    buf_append_byte(out, '[');
    for (size_t i = 0; i < tags->count; i++)
        buf_printf(out, "%s%s", i == 0 ? "" : ", ", tags->items[i]);
    buf_append_byte(out, ']');
}

static void describe_counts(const struct retention_policy *p, struct buf *out)
{
    const struct {
        int count;
        const char *name;
    } rules[] = {{p->last, "latest"},   {p->hourly, "hourly"},   {p->daily, "daily"},
                 {p->weekly, "weekly"}, {p->monthly, "monthly"}, {p->yearly, "yearly"}};
    const char *separator = "";
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].count == 0)
            continue;
        buf_append_str(out, separator);
        if (rules[i].count < 0)
            buf_printf(out, "all %s", rules[i].name);
        else
            buf_printf(out, "%d %s", rules[i].count, rules[i].name);
        separator = ", ";
    }
    if (*separator != '\0')
        buf_append_str(out, " snapshots");
}

static void describe_within(const struct retention_policy *p, struct buf *out, const char *separator)
{
    const struct {
        const struct retention_duration *within;
        const char *name;
    } rules[] = {{&p->within_hourly, "hourly"},
                 {&p->within_daily, "daily"},
                 {&p->within_weekly, "weekly"},
                 {&p->within_monthly, "monthly"},
                 {&p->within_yearly, "yearly"}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (duration_is_zero(rules[i].within))
            continue;
        buf_printf(out, "%s%s snapshots within ", separator, rules[i].name);
        append_duration(out, rules[i].within);
        separator = ", ";
    }
}

void retention_describe(const struct retention_policy *p, struct buf *out)
{
    if (retention_is_empty(p)) {
        buf_append_str(out, "keep everything");
        return;
    }
    buf_append_str(out, "keep ");
    size_t start = out->len;
    describe_counts(p, out);
    describe_within(p, out, out->len > start ? ", " : "");
    if (p->keep_tag_count > 0) {
        buf_printf(out, "%sall snapshots with tags [", out->len > start ? " and " : "");
        for (size_t i = 0; i < p->keep_tag_count; i++) {
            buf_append_str(out, i == 0 ? "" : " ");
            append_tags(out, &p->keep_tags[i]);
        }
        buf_append_byte(out, ']');
    }
    if (!duration_is_zero(&p->within)) {
        buf_printf(out, "%sall snapshots within ", out->len > start ? " and " : "");
        append_duration(out, &p->within);
        buf_append_str(out, " of the newest");
    }
}

enum { REASON_BYTES_MAX = 4096 };

/* Keeps the item for "prefix kind suffix", where the suffix is a duration or a list of tags, or neither. */
static void keep_because(struct retention_item *item, bool oldest, const char *what,
                         const struct retention_duration *within, const struct strlist *tags)
{
    struct buf text;
    buf_init(&text, REASON_BYTES_MAX);
    buf_printf(&text, "%s%s", oldest ? "oldest " : "", what);
    if (within != NULL)
        append_duration(&text, within);
    if (tags != NULL)
        append_tags(&text, tags);
    item->keep = true;
    strlist_add(&item->reasons, buf_cstr(&text));
    buf_release(&text);
}

static bool has_tags(const struct retention_item *item, const struct strlist *wanted)
{
    bool untagged = item->tags == NULL || item->tags->count == 0;
    for (size_t i = 0; i < wanted->count; i++) {
        if (untagged && *wanted->items[i] == '\0')
            return true;
        if (untagged || !strlist_contains(item->tags, wanted->items[i]))
            return false;
    }
    return true;
}

/* The snapshots in the order in which they are looked at, and the one that durations count back from. */
struct pass {
    struct retention_item **order;
    size_t count;
    const struct retention_item *latest; /* NULL: all lie in the future, and every duration reaches all of them */
};

static bool is_within(const struct pass *pass, const struct retention_item *item, const struct retention_duration *d)
{
    if (pass->latest == NULL)
        return true;
    struct timespec limit = time_before(&pass->latest->time, pass->latest->utc_offset_s, d);
    return time_compare(&item->time, &limit) > 0;
}

static void apply_counted(const struct pass *pass, struct bucket *b, size_t nr, const struct civil *c)
{
    if (b->count == 0)
        return;
    int64_t key = b->key(c, nr);
    bool oldest = nr + 1 == pass->count;
    if (key == b->last && !oldest)
        return;
    keep_because(pass->order[nr], key == b->last, b->kind, NULL, NULL);
    b->last = key;
    if (b->count > 0)
        b->count--;
}

static void apply_within(const struct pass *pass, struct bucket *b, size_t nr, const struct civil *c)
{
    if (duration_is_zero(&b->within) || !is_within(pass, pass->order[nr], &b->within))
        return;
    int64_t key = b->key(c, nr);
    bool oldest = nr + 1 == pass->count;
    if (key == b->last && !oldest)
        return;
    keep_because(pass->order[nr], key == b->last, b->kind, &b->within, NULL);
    b->last = key;
}

static int newest_first(const void *a, const void *b)
{
    const struct retention_item *x = *(struct retention_item *const *)a, *y = *(struct retention_item *const *)b;
    int by_time = time_compare(&y->time, &x->time);
    return by_time != 0 ? by_time : (x > y) - (x < y); /* both lie in the caller's array: its order breaks ties */
}

static void pass_init(struct pass *pass, const struct retention_policy *p, struct retention_item *items, size_t count)
{
    pass->order = mem_array(NULL, count, sizeof(struct retention_item *));
    pass->count = count;
    pass->latest = NULL;
    for (size_t i = 0; i < count; i++)
        pass->order[i] = &items[i];
    qsort(pass->order, count, sizeof(struct retention_item *), newest_first);
    bool limited = p->now.tv_sec != 0 || p->now.tv_nsec != 0;
    for (size_t i = 0; i < count && pass->latest == NULL; i++)
        if (!limited || time_compare(&pass->order[i]->time, &p->now) < 0)
            pass->latest = pass->order[i];
}

void retention_apply(const struct retention_policy *p, struct retention_item *items, size_t count)
{
    struct bucket counted[] = {
        {key_each, "last snapshot", p->last, {0}, NO_BUCKET},
        {key_hour, "hourly snapshot", p->hourly, {0}, NO_BUCKET},
        {key_day, "daily snapshot", p->daily, {0}, NO_BUCKET},
        {key_week, "weekly snapshot", p->weekly, {0}, NO_BUCKET},
        {key_month, "monthly snapshot", p->monthly, {0}, NO_BUCKET},
        {key_year, "yearly snapshot", p->yearly, {0}, NO_BUCKET},
    };
    struct bucket within[] = {
        {key_hour, "hourly within ", 0, p->within_hourly, NO_BUCKET},
        {key_day, "daily within ", 0, p->within_daily, NO_BUCKET},
        {key_week, "weekly within ", 0, p->within_weekly, NO_BUCKET},
        {key_month, "monthly within ", 0, p->within_monthly, NO_BUCKET},
        {key_year, "yearly within ", 0, p->within_yearly, NO_BUCKET},
    };
    for (size_t i = 0; i < count; i++) {
        items[i].keep = false;
        strlist_release(&items[i].reasons);
    }
    if (count == 0)
        return;
    bool empty = retention_is_empty(p);
    struct pass pass;
    pass_init(&pass, p, items, count);
    for (size_t nr = 0; nr < count; nr++) {
        struct retention_item *item = pass.order[nr];
        struct civil c = civil_from(&item->time, item->utc_offset_s);
        if (empty)
            keep_because(item, false, "policy is empty", NULL, NULL);
        for (size_t i = 0; i < p->keep_tag_count; i++)
            if (has_tags(item, &p->keep_tags[i]))
                keep_because(item, false, "has tags ", NULL, &p->keep_tags[i]);
        if (!duration_is_zero(&p->within) && is_within(&pass, item, &p->within))
            keep_because(item, false, "within ", &p->within, NULL);
        for (size_t i = 0; i < sizeof counted / sizeof *counted; i++)
            apply_counted(&pass, &counted[i], nr, &c);
        for (size_t i = 0; i < sizeof within / sizeof *within; i++)
            apply_within(&pass, &within[i], nr, &c);
    }
    free(pass.order);
}

void retention_release(struct retention_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        strlist_release(&items[i].reasons);
}
