/* The Gregorian calendar in both directions, for any year; days count from 1970-01-01. */
#ifndef AUTHORIZE_POLICY_CIVIL_H
#define AUTHORIZE_POLICY_CIVIL_H

#include <stdint.h>

enum { CIVIL_DAY_S = 86400 };

int64_t civil_days(int64_t year, unsigned month, unsigned day);

/* The year that `days` is in. */
int64_t civil_year(int64_t days);

unsigned civil_month_len(int64_t year, unsigned month);

/* 0 = Sunday. */
unsigned civil_weekday(int64_t days);

/* Rounded down, also below zero. */
int64_t civil_floor_div(int64_t a, int64_t b);

#endif
