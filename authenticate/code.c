#include "authenticate/code.h"

#include "common/base/text.h"

bool code_is_valid(struct view code)
{
    for (size_t i = 0; i < code.len; i++) {
        uint8_t c = code.ptr[i];
        if (!text_is_alpha(c) && !text_is_digit(c) && c != '-' && c != '_')
            return false;
    }
    return code.len > 0 && code.len <= CODE_MAX;
}
